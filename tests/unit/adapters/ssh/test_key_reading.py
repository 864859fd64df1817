from __future__ import annotations

import asyncssh
import pytest
from pydantic import SecretStr

from adapters.ssh.key_envelopes import MOST_ROUNDS
from adapters.ssh.key_reading import read_private_key
from adapters.ssh.keys import generate_key
from domain.errors import InvalidInput
from tests.harness.private_keys import with_rounds


async def test_a_key_and_its_refusal_come_back_from_the_process_that_reads():
    key = generate_key()
    read = await read_private_key(key.private_key)
    assert (read.fingerprint, read.public_key, read.algorithm) == (
        key.fingerprint,
        key.public_key,
        key.algorithm,
    )
    again = await read_private_key(read.private_key)
    assert again.fingerprint == key.fingerprint
    with pytest.raises(InvalidInput, match="not a private key") as caught:
        await read_private_key(SecretStr("hello"))
    assert caught.value.field == "private_key"


async def test_reading_a_key_ends_with_its_share_of_the_processor():
    quick = asyncssh.generate_private_key("ssh-ed25519").export_private_key(
        passphrase="secret", rounds=1, ignore_few_rounds=True
    )
    slow = SecretStr(with_rounds(quick.decode(), MOST_ROUNDS))
    with pytest.raises(InvalidInput, match="too long"):
        await read_private_key(slow, SecretStr("secret"), processor_seconds=1)
