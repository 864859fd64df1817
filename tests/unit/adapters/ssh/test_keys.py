from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import asyncssh
import pytest
from pydantic import SecretStr

from adapters.ssh.keys import generate_key, parse_private_key
from domain.errors import InvalidInput

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa")
FORMATS = ("openssh", "pkcs8-pem", "pkcs1-pem")
# PKCS#1 is older than Ed25519.
EXISTING = [
    (kind, form) for kind in KINDS for form in FORMATS if (kind, form) != ("ssh-ed25519", "pkcs1-pem")
]


def exported(key: asyncssh.SSHKey, file_format: str, passphrase: str | None) -> str:
    """The file; one round of hashing instead of many, because it is thrown away."""
    text = key.export_private_key(file_format, passphrase=passphrase, rounds=1, ignore_few_rounds=True)
    return text.decode()


def refused(text: str, passphrase: str | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_private_key(SecretStr(text), SecretStr(passphrase) if passphrase else None)
    return caught.value


def test_a_generated_key_is_read_by_openssh_with_the_same_fingerprint(tmp_path: Path):
    key = generate_key()
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(key.private_key.get_secret_value())
    shown = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == ["256", key.fingerprint]
    public = subprocess.run(["ssh-keygen", "-yf", path], capture_output=True, text=True, check=True).stdout
    assert public.split()[:2] == key.public_key.split()
    assert key.algorithm == "ssh-ed25519"
    assert key.private_key.get_secret_value() not in repr(key)


@pytest.mark.parametrize(("kind", "file_format"), EXISTING)
@pytest.mark.parametrize("passphrase", [None, "pass phrase ü"])
def test_every_kind_in_every_format_is_read(kind: str, file_format: str, passphrase: str | None):
    key = asyncssh.generate_private_key(kind)
    text = SecretStr(exported(key, file_format, passphrase))
    parsed = parse_private_key(text, SecretStr(passphrase) if passphrase else None)
    assert parsed.algorithm == kind
    assert parsed.fingerprint == key.get_fingerprint()
    assert parsed.public_key.split() == key.export_public_key("openssh").decode().split()[:2]
    assert "OPENSSH PRIVATE KEY" in parsed.private_key.get_secret_value()
    # What is stored needs no passphrase any more.
    assert asyncssh.import_private_key(parsed.private_key.get_secret_value()) == key


def test_line_ends_of_windows_and_blank_lines_around_are_mended():
    key = generate_key()
    text = "\r\n \r\n" + key.private_key.get_secret_value().replace("\n", "\r\n").strip()
    assert parse_private_key(SecretStr(text)).fingerprint == key.fingerprint


def test_a_passphrase_for_a_key_that_needs_none_is_passed_over():
    key = generate_key()
    assert parse_private_key(key.private_key, SecretStr("unused")).fingerprint == key.fingerprint


@pytest.mark.parametrize("file_format", ["openssh", "pkcs8-pem"])
def test_a_missing_and_a_wrong_passphrase_are_named(file_format: str):
    text = exported(asyncssh.generate_private_key("ssh-ed25519"), file_format, "right")
    missing, wrong = refused(text), refused(text, "wrong")
    assert (missing.field, wrong.field) == ("passphrase", "passphrase")
    assert "protected" in missing.message
    assert "does not open" in wrong.message


def test_what_is_no_private_key_is_told_apart():
    key = generate_key()
    text = key.private_key.get_secret_value()
    cases = {
        "": "Paste",
        "hello": "not a private key",
        text[:100]: "not a private key",
        text.replace("OPENSSH", "RSA"): "not a private key",
        key.public_key: "public half",
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none": "PuTTYgen",
        "x" * 40_000: "too long",
    }
    for content, words in cases.items():
        error = refused(content)
        assert error.field == "private_key"
        assert words in error.message


def test_weak_and_unknown_kinds_are_refused():
    weak = asyncssh.generate_private_key("ssh-rsa", key_size=1024)
    assert "2048" in refused(weak.export_private_key().decode()).message
    for file_format in ("openssh", "pkcs8-pem"):
        dsa = asyncssh.generate_private_key("ssh-dss").export_private_key(file_format)
        assert "Ed25519" in refused(dsa.decode()).message


def test_a_key_that_would_take_for_ever_to_open_is_refused_at_once():
    text = exported(asyncssh.generate_private_key("ssh-ed25519"), "openssh", "secret")
    first, *lines, last = text.strip().splitlines()
    body = base64.b64decode("".join(lines))
    start = body.index(b"bcrypt") + len(b"bcrypt") + 4
    salt = int.from_bytes(body[start : start + 4], "big")
    place = start + 4 + salt
    assert body[place : place + 4] == (1).to_bytes(4, "big")
    endless = body[:place] + (2**32 - 1).to_bytes(4, "big") + body[place + 4 :]
    written = "\n".join([first, base64.b64encode(endless).decode(), last])
    error = refused(written, "secret")
    assert error.field == "private_key"
    assert "4294967295 rounds" in error.message
