"""Health probes from outside of the container: HTTP, TCP, or a command inside."""

from __future__ import annotations

import asyncio
import errno
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from adapters.bounded_answers import AS_IT_IS, AnswerEncoded, raw
from adapters.reach import Reach
from domain.configuration import HealthCheck, HealthCheckKind
from domain.errors import DeadlineExceeded, SeawayError

BODY_LIMIT_BYTES = 64 * 1024
OUTPUT_LINES = 3
LONGEST_OUTPUT_LINE = 500

LONGEST_CONTENT_TYPE: Final = 200
CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.ASCII | re.IGNORECASE)
CODECS: Final = {
    "iso-8859-1": "iso-8859-1",
    "iso8859-1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "iso8859-15": "iso-8859-15",
    "latin-9": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
"""What a text may be in that is not UTF-8, by the names that answers give it; ASCII is UTF-8.

No other, because the application chooses: Python has codecs that unpack (`zip`), that give no text (`hex`),
and whose time grows with the square of the length (`punycode`, `idna`). These take one step for each byte.
"""

# Runs a command in the container: (argv, on_line, timeout in seconds) -> exit code.
Execute = Callable[[Sequence[str], Callable[[str], None], float], Awaitable[int]]


@dataclass(frozen=True)
class ProbeOutcome:
    """How one probe went; `detail` is a short sentence for people.

    `output` is what a command wrote, which may be anything: no part of a sentence that everybody is told.
    """

    ok: bool
    detail: str
    duration_ms: int
    output: str = ""


async def probe(check: HealthCheck, *, host: str, port: int, reach: Reach, execute: Execute) -> ProbeOutcome:
    """One probe of a container at `host`, at the check's own port or else `port`.

    It takes no longer than the check's timeout (a command may take some seconds more to be ended) and never
    raises for what the container does. NONE is always fine: that the container runs is for the caller to see.
    Redirects are not followed: they are answers.
    """
    begun = time.monotonic()
    target = f"{host}:{check.port or port}"
    output = ""
    try:
        async with asyncio.timeout(check.timeout_seconds):
            match check.kind:
                case HealthCheckKind.HTTP:
                    ok, detail = await _probe_http(check, host, check.port or port, reach)
                case HealthCheckKind.TCP:
                    ok, detail = await _probe_tcp(host, check.port or port, reach)
                case HealthCheckKind.COMMAND:
                    ok, detail, output = await _probe_command(check, execute)
                case HealthCheckKind.NONE:
                    ok, detail = True, "running; no health check is set"
    except (TimeoutError, httpx.TimeoutException, DeadlineExceeded):
        ok, detail = False, f"no answer within {check.timeout_seconds:g} s"
        if check.kind is not HealthCheckKind.COMMAND:
            detail = f"{_subject(check, target)} gave {detail}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        ok, detail = False, _failure(check, target, error)
    except SeawayError as error:
        ok, detail = False, error.message
    duration_ms = round((time.monotonic() - begun) * 1000)
    said = f"{detail} in {duration_ms} ms" if " answered " in detail else detail
    return ProbeOutcome(ok, said, duration_ms, output)


async def _probe_http(check: HealthCheck, host: str, port: int, reach: Reach) -> tuple[bool, str]:
    subject = _subject(check, f"{host}:{port}")
    async with (
        reach.address(host, port) as (near_host, near_port),
        # The container's own certificate is rarely valid for its address, and the way to it is ours.
        httpx.AsyncClient(verify=False, trust_env=False, timeout=check.timeout_seconds) as client,  # noqa: S501
    ):
        url = httpx.URL(scheme=check.scheme, host=near_host, port=near_port, raw_path=check.path.encode())
        headers = {
            "Host": check.host,
            "User-Agent": "Seaway-Health/1",
            "Accept": "*/*",
            **AS_IT_IS,
        }
        async with client.stream(check.method, url, headers=headers) as answer:
            ok, said = await _judged(check, answer)
    return ok, f"{subject} answered {answer.status_code}{said}"


async def _judged(check: HealthCheck, answer: httpx.Response) -> tuple[bool, str]:
    """Whether an answer is as it should be, and what to say of it after its status."""
    if check.expected_status is None and not 200 <= answer.status_code < 400:
        return False, ""
    if check.expected_status not in (None, answer.status_code):
        return False, f" instead of {check.expected_status}"
    if not check.expected_text:
        return True, ""
    try:
        body = await _bounded_body(answer)
    except AnswerEncoded:
        return False, f", compressed unasked: it cannot be searched for the text {check.expected_text!r}"
    found = check.expected_text in body
    return found, "" if found else f" without the text {check.expected_text!r}"


async def _bounded_body(answer: httpx.Response) -> str:
    body = bytearray()
    async for chunk in raw(answer):
        body += chunk
        if len(body) >= BODY_LIMIT_BYTES:
            break
    codec = _codec(answer.headers.get("Content-Type", ""))
    return bytes(body[:BODY_LIMIT_BYTES]).decode(codec, "replace")


def _codec(content_type: str) -> str:
    """How to read what has this type: as it says, where that is one of `CODECS`, and otherwise as UTF-8."""
    said = CHARSET.search(content_type[:LONGEST_CONTENT_TYPE])
    return CODECS.get(said[1].lower(), "utf-8") if said else "utf-8"


async def _probe_tcp(host: str, port: int, reach: Reach) -> tuple[bool, str]:
    async with reach.address(host, port) as (near_host, near_port):
        _reader, writer = await asyncio.open_connection(near_host, near_port)
        writer.close()
    return True, f"port {port} accepts connections"


async def _probe_command(check: HealthCheck, execute: Execute) -> tuple[bool, str, str]:
    lines: deque[str] = deque(maxlen=OUTPUT_LINES)
    code = await execute(["/bin/sh", "-c", check.command], lines.append, check.timeout_seconds)
    output = "\n".join(line[:LONGEST_OUTPUT_LINE] for line in lines if line)
    return code == 0, f"the health command ended with {code}", "" if code == 0 else output


def _subject(check: HealthCheck, target: str) -> str:
    if check.kind is HealthCheckKind.TCP:
        return f"a connection to {target}"
    return f"{check.method} {check.scheme}://{target}{check.path}"


def _failure(check: HealthCheck, target: str, error: Exception) -> str:
    codes = {cause.errno for cause in _causes(error) if isinstance(cause, OSError)}
    port = target.rpartition(":")[2]
    if errno.ECONNREFUSED in codes:
        return f"connection refused: nothing listens on port {port}"
    if codes & {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return f"{target} cannot be reached from the server"
    if isinstance(error, httpx.RemoteProtocolError) or errno.ECONNRESET in codes:
        return f"{_subject(check, target)} broke off: port {port} does not speak {check.scheme.upper()}"
    return f"{_subject(check, target)} failed: {str(error) or type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything beneath it: clients wrap the system's error several times."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    yield from _causes(error.__cause__ or error.__context__)
