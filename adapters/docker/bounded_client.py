"""The Docker SDK's client, for engines that may lie: it holds no answer without end in memory."""

from __future__ import annotations

import json
from typing import Any, Final

import docker
import requests

from domain.errors import EngineUnavailable

LARGEST_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Beyond what an engine tells of five thousand containers."""
MOST_VALUES: Final = 500_000
"""As many; each takes far more memory than the two bytes that it may have in JSON."""
LONGEST_REFUSAL_BYTES: Final = 16 * 1024
CHUNK_BYTES: Final = 64 * 1024


class BoundedClient(docker.APIClient):  # type: ignore[misc]
    """Raises EngineUnavailable for an answer that is larger than any engine's."""

    def send(self, request: Any, **options: Any) -> Any:
        """See `requests.Session.send`; an answer that is not a stream is read up to the limit."""
        as_stream = bool(options.pop("stream", False))
        answer = super().send(request, stream=True, **options)
        if as_stream:
            return answer
        try:
            content = _content(answer)
        except BaseException:
            answer.close()
            raise
        # As the session itself does it, which has no limit.
        answer._content, answer._content_consumed = content, True  # noqa: SLF001
        return answer


def _content(answer: requests.Response) -> bytes:
    content = bytearray()
    for chunk in answer.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > LARGEST_ANSWER_BYTES:
            raise EngineUnavailable(
                f"The Docker Engine's answer is larger than {LARGEST_ANSWER_BYTES // 2**20} MiB, as none of "
                "an engine is. Look whether somebody else controls that server."
            )
    if sum(map(content.count, (b"{", b"[", b","))) > MOST_VALUES:
        raise EngineUnavailable(
            f"The Docker Engine's answer has more than {MOST_VALUES} values, as none of an engine has. Look "
            "whether somebody else controls that server."
        )
    return bytes(content)


def refusal_of(answer: requests.Response) -> str:
    """What the engine says in the answer to a request that it refused, of a stream that is not read yet."""
    content = bytearray()
    for chunk in answer.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > LONGEST_REFUSAL_BYTES:
            break
    answer.close()
    text = bytes(content[:LONGEST_REFUSAL_BYTES]).decode("utf-8", "replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text.strip()
