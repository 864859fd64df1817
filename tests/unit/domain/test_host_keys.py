"""Host keys are read as OpenSSH writes them, and nothing else passes for one."""

from __future__ import annotations

import asyncssh
import pytest

from domain.errors import InvalidInput
from domain.host_keys import fingerprint_of, host_key_of, is_fingerprint_of


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp384", "ssh-rsa"])
def test_a_host_key_has_the_fingerprint_that_openssh_gives_it(kind: str):
    key = asyncssh.generate_private_key(kind)
    line = key.export_public_key("openssh").decode()
    read = host_key_of(f"{line.strip()} with a comment")
    assert read.fingerprint == key.get_fingerprint()
    assert read.algorithm == kind
    assert read.text == " ".join(line.split()[:2])


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="]
)
def test_what_is_no_host_key_is_refused(text: str):
    with pytest.raises(InvalidInput):
        host_key_of(text)


def test_a_person_confirms_a_key_by_its_whole_fingerprint():
    key = asyncssh.generate_private_key("ssh-ed25519")
    read = host_key_of(key.export_public_key("openssh").decode())
    assert is_fingerprint_of(read, f" {key.get_fingerprint()}= ")
    assert not is_fingerprint_of(read, key.get_fingerprint()[:-1])
    assert not is_fingerprint_of(read, "")
    assert not is_fingerprint_of(read, "SHA256:ü")
    assert fingerprint_of(read.text) == key.get_fingerprint()
    assert fingerprint_of("") == ""
