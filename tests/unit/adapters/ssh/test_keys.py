from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from adapters.ssh.keys import generate_key, parse_private_key
from domain.errors import InvalidInput
from tests.harness.private_keys import with_rounds

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
    written = with_rounds(text, 2**32 - 1)
    error = refused(written, "secret")
    assert error.field == "private_key"
    assert "4294967295 rounds" in error.message


@pytest.mark.parametrize("decoy", ["before", "after", "header"])
def test_nothing_beside_a_key_hides_how_long_opening_it_takes(decoy: str):
    honest = exported(asyncssh.generate_private_key("ssh-ed25519"), "openssh", "secret")
    endless = with_rounds(honest, 2**32 - 1)
    bare = "".join(honest.strip().splitlines()[1:-1])
    first, body, last = endless.splitlines()
    text = {
        "before": f"{bare}\n{endless}",
        "after": f"{endless}\n{bare}",
        "header": f"{first}\n:{body}\n{last}",
    }[decoy]
    error = refused(text, "secret")
    assert error.field == "private_key"
    assert "4294967295 rounds" in error.message or "not a private key" in error.message


def test_two_keys_in_one_text_are_refused():
    one, two = (generate_key().private_key.get_secret_value() for _ in range(2))
    assert "more than one" in refused(one + two).message


def test_what_stands_around_a_key_is_passed_over(tmp_path: Path):
    made = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey"], capture_output=True, text=True, check=True
    ).stdout
    assert "EC PARAMETERS" in made
    assert parse_private_key(SecretStr(made)).algorithm == "ecdsa-sha2-nistp256"
    key = generate_key()
    text = SecretStr(f"Bag Attributes\n  friendlyName: mine\n{key.private_key.get_secret_value()}")
    assert parse_private_key(text).fingerprint == key.fingerprint


def openssl_encrypted(*options: str) -> str:
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True)
    command = ["openssl", "pkcs8", "-topk8", "-passout", "pass:secret", *options]
    return subprocess.run(command, input=made.stdout, capture_output=True, check=True).stdout.decode()


def test_a_pkcs8_key_that_would_be_hashed_for_long_is_refused_at_once():
    text = openssl_encrypted("-iter", "1000001")
    error = refused(text, "secret")
    assert error.field == "private_key"
    assert "1000001 iterations" in error.message


def test_a_pkcs8_key_of_openssl_is_read_and_one_of_another_derivation_is_refused():
    assert parse_private_key(SecretStr(openssl_encrypted()), SecretStr("secret")).algorithm == "ssh-ed25519"
    for options in (["-scrypt"], ["-v1", "PBE-SHA1-3DES"]):
        assert "does not know" in refused(openssl_encrypted(*options), "secret").message


def test_a_damaged_and_an_overlong_rsa_key_are_refused():
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = numbers.p + 2, numbers.q
    damaged = rsa.RSAPrivateNumbers(
        p, q, numbers.d, numbers.dmp1, numbers.dmq1, numbers.iqmp, rsa.RSAPublicNumbers(65537, p * q)
    ).private_key(unsafe_skip_rsa_key_validation=True)
    text = damaged.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert "damaged" in refused(text).message
    # Its primes are never tried, so any odd numbers of that length do.
    p, q = (1 << 4100) + 1, (1 << 4099) + 1
    public = rsa.RSAPublicNumbers(65537, p * q)
    long = rsa.RSAPrivateNumbers(p, q, 3, 3, 3, 3, public).private_key(unsafe_skip_rsa_key_validation=True)
    text = long.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert "8192 bits at most" in refused(text).message
