"""Answers of programs on servers, which may be in other hands: read up to a size that theirs never have."""

from __future__ import annotations

from typing import Final

import httpx

LARGEST_ANSWER_BYTES: Final = 4 * 1024 * 1024


class AnswerTooLarge(httpx.HTTPError):
    """The server sends more than any answer of the program has."""


async def get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The whole answer. Raises what httpx raises, and AnswerTooLarge."""
    async with client.stream("GET", path) as answer:
        content = bytearray()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > LARGEST_ANSWER_BYTES:
                raise AnswerTooLarge(f"The answer is larger than {LARGEST_ANSWER_BYTES} bytes.")
        return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)
