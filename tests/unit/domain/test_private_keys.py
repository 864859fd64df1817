"""Private keys are read as OpenSSH would read them, and say nothing when they cannot be."""

from __future__ import annotations

import asyncssh
import pytest
from pydantic import SecretStr

from domain.errors import InvalidInput
from domain.private_keys import normalise_private_key, public_part

KINDS = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written_as", ["openssh", "pkcs8-pem"])
def test_the_public_part_is_the_one_that_openssh_computes(kind: str, written_as: str) -> None:
    key = asyncssh.generate_private_key(kind)
    public = public_part(SecretStr(key.export_private_key(written_as).decode()))
    assert public.public_key == key.export_public_key().decode().strip()
    assert public.fingerprint == key.get_fingerprint()


def test_a_key_from_a_form_with_other_line_ends_opens_as_well() -> None:
    text = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    pasted = SecretStr("  " + text.replace("\n", "\r\n").strip())
    assert normalise_private_key(pasted).get_secret_value() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hunter2",
        "-----BEGIN OPENSSH PRIVATE KEY-----\naGVsbG8=\n-----END OPENSSH PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n",
        "ü" * 100,
        "x" * 100_000,
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        public_part(SecretStr(text))
    assert refused.value.field == "private_key"
    assert not text or text[:20] not in refused.value.message


def test_a_key_with_a_passphrase_says_what_to_do() -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    with pytest.raises(InvalidInput, match="passphrase"):
        public_part(SecretStr(key.export_private_key("pkcs8-pem", passphrase="secret").decode()))


def test_weak_and_unknown_keys_are_refused() -> None:
    weak = asyncssh.generate_private_key("ssh-rsa", key_size=1024)
    with pytest.raises(InvalidInput, match="2048"):
        public_part(SecretStr(weak.export_private_key("pkcs8-pem").decode()))
