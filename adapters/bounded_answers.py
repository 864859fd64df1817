"""Answers of programs on servers, which may be in other hands: read up to a size that theirs never have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx

LARGEST_ANSWER_BYTES: Final = 4 * 1024 * 1024
LONGEST_ENCODING: Final = 50
AS_IT_IS: Final = {"Accept-Encoding": "identity"}


class AnswerTooLarge(httpx.HTTPError):
    """The server sends more than any answer of the program has."""


class AnswerEncoded(httpx.HTTPError):
    """The server compresses what was asked for as it is; unpacked it may be of any size."""


def raw(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The answer's body as it comes. Raises AnswerEncoded where it would have to be unpacked first."""
    encoding = answer.headers.get("Content-Encoding", "").strip()
    if encoding.lower() not in ("", "identity"):
        raise AnswerEncoded(f"The answer is compressed ({encoding[:LONGEST_ENCODING]}), unasked.")
    return answer.aiter_raw()


async def get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The whole answer. Raises what httpx raises, AnswerTooLarge and AnswerEncoded."""
    async with client.stream("GET", path, headers=AS_IT_IS) as answer:
        content = bytearray()
        async for chunk in raw(answer):
            content += chunk
            if len(content) > LARGEST_ANSWER_BYTES:
                raise AnswerTooLarge(f"The answer is larger than {LARGEST_ANSWER_BYTES} bytes.")
        return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)
