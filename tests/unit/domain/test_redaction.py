"""Redaction: no secret passes, and an ordinary line passes unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.redaction import REDACTED, Redactor, redact

# The marks of tokens are joined here, so that scanners do not take the tests for leaks.
LETTERS = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"remote https://x-access-token:gho_{LETTERS}@github.com/u/r.git", LETTERS),
        ("postgres://user:pass%40word@db:5432/x", "pass%40word"),
        ("postgres://user:pa:ss@db:5432/x", "pa:ss"),
        ("https://user:p@ss@host/x", "p@ss"),
        ("https://justatoken@host/x", "justatoken"),
        ("redis://:hunter22@[::1]:6379", "hunter22"),
        (f"Authorization: Bearer eyJ{LETTERS}", LETTERS),
        (f"authorization: bearer {LETTERS}==", LETTERS),
        (f"Authorization: Basic {LETTERS}", LETTERS),
        *[
            (f"token {prefix}_{LETTERS}.", LETTERS)
            for prefix in ("ghp", "gho", "ghu", "ghs", "ghr", "github_pat")
        ],
        *[(f"token {prefix}-{LETTERS[:20]}", LETTERS[:20]) for prefix in ("glpat", "glcbt", "glrt")],
        ("key AKIA" + "IOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
        (f"api_key={LETTERS}", LETTERS),
        (f"API-KEY: {LETTERS}", LETTERS),
        (f'"secret_key": "{LETTERS}"', LETTERS),
        (f"secret_key='{LETTERS} and more'", "and more"),
        ("GET /hook?token=hunter22&a=b", "hunter22"),
        ("DB_PASSWORD=hunter22", "hunter22"),
        (f"jwt eyJ{LETTERS}.{LETTERS}.{LETTERS}", LETTERS),
        ("mail jane.doe+x@example.co.uk now", "jane.doe"),
        (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{LETTERS}\n-----END OPENSSH PRIVATE KEY-----", LETTERS),
        (f"-----BEGIN PRIVATE KEY-----\n{LETTERS}", LETTERS),
        (f"\x1b[31mghp\x1b[0m_{LETTERS}", LETTERS),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(line: str, secret: str) -> None:
    for result in (redact(line), Redactor()(line)):
        assert secret not in result
        assert REDACTED in result


@pytest.mark.parametrize(
    "line",
    [
        "",
        "#12 [build 3/7] RUN npm ci",
        "#12 0.345 added 1203 packages, and audited 1204 packages in 12s",
        "Cloning into git@github.com:acme/shop.git",
        "GET https://example.com/a/b?x=1#y 200",
        "npm warn deprecated lodash@4.17.21: use something@else",
        "=> exporting layers sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "COPY --from=build /app/dist /srv",
        "Bearer authentication and basic authentication are supported",
        "the keyboard: token ring, secretary: yes",
        "Step 3/9 : basic set-up",
        "größe: 12 µs → 日本語",
        "tab\tseparated",
        "https://example.com/@user/page",
        "http://[::1]:8080/",
    ],
)
def test_an_ordinary_line_is_unchanged(line: str) -> None:
    assert redact(line) == line
    assert Redactor(["t0p-secret"])(line) == line


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("\x1b[1;32mok\x1b[0m", "ok"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2K\x1b[1Gdone", "done"),
        ("\x1b(Bplain\x1b=", "plain"),
        ("a\x00b\x08", "ab"),
    ],
)
def test_colours_and_control_characters_are_removed(line: str, clean: str) -> None:
    assert redact(line) == clean


def test_given_secrets_are_replaced_wherever_they_stand() -> None:
    redactor = Redactor(["p@ss w/rd", "abcd", "abcdef", "xyz", "", "    ", "line one\nline two"])
    assert redactor("x=p@ss w/rd;") == f"x={REDACTED};"
    assert redactor("x=p%40ss%20w%2Frd;") == f"x={REDACTED};"
    assert redactor("abcdefg abcd xyz    .") == f"{REDACTED}g {REDACTED} xyz    ."
    assert redactor("2: line two") == f"2: {REDACTED}"


def test_a_private_key_over_several_lines_is_hidden_and_the_log_goes_on() -> None:
    redactor = Redactor()
    log = [
        "#7 0.1 -----BEGIN RSA PRIVATE KEY-----",
        "#7 0.1 Proc-Type: 4,ENCRYPTED",
        f"#7 0.1 {LETTERS}",
        "#7 0.1 ",
        "#7 0.1 abc=",
        "#7 0.1 -----END RSA PRIVATE KEY-----",
        "#7 0.2 done",
    ]
    result = [redactor(line) for line in log]
    assert result[0] == f"#7 0.1 {REDACTED}"
    assert result[1:6] == [REDACTED] * 5
    assert result[6] == log[6]


def test_a_key_that_never_ends_does_not_hide_the_rest_of_the_log() -> None:
    redactor = Redactor()
    redactor("-----BEGIN PRIVATE KEY-----")
    assert redactor(LETTERS) == REDACTED
    assert redactor("#8 the build goes on, quite as usual") == "#8 the build goes on, quite as usual"
    assert redactor("#8 DONE") == "#8 DONE"


_secret = st.text(alphabet=st.characters(categories=["L", "N"]), min_size=4, max_size=40)


@given(_secret, st.text(), st.text())
def test_a_known_secret_never_passes(secret: str, before: str, after: str) -> None:
    result = Redactor([secret])(f"{before}{secret}{after}")
    assert secret in REDACTED or all(secret not in part for part in result.split(REDACTED))


@given(st.text())
def test_redaction_ends_for_any_text(line: str) -> None:
    assert "\x1b[" not in redact(line)
