"""Reads what people upload as a private key in a process of its own, with an end.

The library holds up the whole process while it opens a key or tries primes, threads included.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from dataclasses import asdict
from typing import Final

from pydantic import SecretStr

from adapters.ssh.keys import ParsedKey, parse_private_key
from domain.errors import InvalidInput, NotPossibleNow
from domain.private_keys import FIELD

PROCESSOR_SECONDS: Final = 20
"""The slowest key within the limits, an RSA key of 8192 bits, takes half of it on a slow processor."""
WAIT_SECONDS: Final = 60.0


async def read_private_key(
    text: SecretStr, passphrase: SecretStr | None = None, *, processor_seconds: int = PROCESSOR_SECONDS
) -> ParsedKey:
    """See `parse_private_key`. Raises NotPossibleNow where the machine is too busy to find out."""
    secret = passphrase.get_secret_value() if passphrase else None
    asked = json.dumps([text.get_secret_value(), secret, processor_seconds])
    # Isolated, and without our variables: it needs none of our secrets.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            written, _ = await process.communicate(asked.encode())
    except TimeoutError as error:
        raise NotPossibleNow("The key was not read in time: this machine is busy. Try again.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if (process.returncode or 0) > 0:
        raise NotPossibleNow("The key could not be read: its process failed. Try again.")
    if process.returncode != 0:
        raise InvalidInput("Reading this key takes too long. Use an Ed25519 key.", field=FIELD)
    answer = json.loads(written)
    if "refused" in answer:
        raise InvalidInput(answer["refused"], field=answer["field"])
    return ParsedKey(**{**answer, "private_key": SecretStr(answer["private_key"])})


def main() -> None:
    """Answers on standard output what stands on standard input."""
    text, passphrase, seconds = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        key = parse_private_key(SecretStr(text), SecretStr(passphrase) if passphrase else None)
    except InvalidInput as error:
        answer: dict[str, object] = {"refused": error.message, "field": error.field}
    else:
        answer = {**asdict(key), "private_key": key.private_key.get_secret_value()}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
