"""Private keys that say something about themselves that is not so."""

from __future__ import annotations

import base64


def with_rounds(text: str, rounds: int) -> str:
    """An encrypted key in OpenSSH's format that says another number of rounds."""
    first, *lines, last = text.strip().splitlines()
    body = base64.b64decode("".join(lines))
    start = body.index(b"bcrypt") + len(b"bcrypt") + 4
    place = start + 4 + int.from_bytes(body[start : start + 4], "big")
    changed = body[:place] + rounds.to_bytes(4, "big") + body[place + 4 :]
    return "\n".join([first, base64.b64encode(changed).decode(), last])
