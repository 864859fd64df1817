"""The link to one engine: calls in a bounded pool of threads, streams that can be ended at once.

The Docker SDK has no types; its client is used as `Any` here and nowhere else in the package.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

import docker.auth
import docker.errors
import requests
import urllib3

from adapters.docker.bounded_client import BoundedClient, refusal_of
from domain.errors import EngineUnavailable

Result = TypeVar("Result")

CALL_THREADS = 8
LONG_CALL_THREADS = 50
"""For what may wait long, such as a stop with its grace: two rounds for the most replicas of a release."""

STREAM_THREADS = 64
CONNECT_TIMEOUT_SECONDS = 10.0
CALL_TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 64 * 1024
LONGEST_REASON = 2000
"""Engines give a sentence or two. One in other hands may send as much as an answer holds."""

# What means that the engine or the way to it is gone.
LOST = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)


class EngineRefusal(EngineUnavailable):
    """The engine answered with an error. Where it has a meaning, the callers in this package give it that.

    Of a reason that is longer than that of any engine, only the begin is kept.
    """

    def __init__(self, status: int, reason: str) -> None:
        reason = reason[:LONGEST_REASON]
        super().__init__(f"The Docker Engine answered with an error: {reason.strip()}", detail=reason)
        self.status = status
        self.reason = reason


class EngineConnection:
    """Owns the threads and sockets to the engine behind a unix socket path. `close()` ends them all."""

    def __init__(
        self,
        socket: str,
        *,
        where: str = "",
        shows_own_logins: bool = False,
        call_timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        """`socket` is the path of the engine's unix socket; nothing is opened before the first call.

        `where` is the engine's place for people, if the socket is only a way to it. With `shows_own_logins`
        it is shown the logins of this machine's Docker configuration: for the engine of this machine only.
        """
        self._socket = socket
        self._where = where or socket
        self._shows_own_logins = shows_own_logins
        self._call_timeout_seconds = call_timeout_seconds
        self._client: Any = None
        self._client_lock = Lock()
        self._calls = ThreadPoolExecutor(CALL_THREADS, thread_name_prefix="engine-call")
        # Replicas that take their time to stop must not make the engine look dead to everybody else.
        self._long_calls = ThreadPoolExecutor(LONG_CALL_THREADS, thread_name_prefix="engine-long-call")
        self._long_call_limits: dict[asyncio.Future[Any], float] = {}
        """Of those that have a thread: when they must have ended, as the event loop counts."""
        self._readers = ThreadPoolExecutor(STREAM_THREADS, thread_name_prefix="engine-stream")
        self._open: set[EngineStream] = set()

    @property
    def socket(self) -> str:
        """The path of the engine's socket."""
        return self._socket

    @property
    def open_streams(self) -> int:
        """How many answers are being read right now."""
        return len(self._open)

    async def close(self) -> None:
        """End every stream and thread. Calls that are under way finish first."""
        for stream in tuple(self._open):
            stream.interrupt()
        for pool in (self._calls, self._long_calls, self._readers):
            # What is queued runs still: a cancelled future would look to its waiter like a cancelled task.
            pool.shutdown(wait=False)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def call(
        self, work: Callable[[Any], Result], *, extra_seconds: float = 0, changes_nothing: bool = False
    ) -> Result:
        """Run `work(client)` in a thread; `extra_seconds` is what it may take beyond an ordinary call.

        With them it is a long call: those have threads of their own. The wait for one does not count, as long
        as a call that has one is within its limit; after that it may take as long as an ordinary call.

        A cancelled call is waited for: what it began at the engine is then done, so that the undo that
        follows finds it. One that `changes_nothing` is left to itself, and one that still waits for a thread
        never begins. Raises EngineRefusal for an error answer, EngineUnavailable for none.
        """
        limit = self._call_timeout_seconds + CONNECT_TIMEOUT_SECONDS + extra_seconds
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def has_begun() -> None:
            begun.set()
            if extra_seconds:
                self._long_call_limits[future] = loop.time() + limit
                future.add_done_callback(self._long_call_limits.pop)

        def begin() -> Result:
            loop.call_soon_threadsafe(has_begun)
            return work(self._connected())

        submitted = self._submitted(self._long_calls if extra_seconds else self._calls, begin)
        future = asyncio.wrap_future(submitted)
        try:
            if extra_seconds:
                await self._turn(begun)
            async with asyncio.timeout(limit):
                return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_take_failure)
            if not submitted.cancel() and not changes_nothing:
                await asyncio.wait([future], timeout=limit)
            raise
        except TimeoutError as error:
            future.add_done_callback(_take_failure)
            submitted.cancel()
            reason = "no answer in time"
            if extra_seconds and not begun.is_set():
                reason = "it has not ended earlier calls in time, and no more can begin"
            raise self._unavailable(reason) from error

    async def _turn(self, begun: asyncio.Event) -> None:
        """Waits until a long call has begun. Raises TimeoutError where none ends that should have ended.

        A thread is not free when its caller is told that there is no answer in time: an engine that sends a
        byte now and then keeps it. Whoever waits behind calls within their limits waits on, however many.
        """
        loop = asyncio.get_running_loop()
        asked, grace = loop.time(), self._call_timeout_seconds + CONNECT_TIMEOUT_SECONDS
        while not begun.is_set():
            until = max([asked, *self._long_call_limits.values()]) + grace
            if loop.time() >= until:
                raise TimeoutError
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await begun.wait()

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[EngineStream]:
        """A request whose answer arrives in pieces; leaving the block closes its socket at once."""

        def begin() -> Any:
            client = self._connected()
            answer = client.request(
                method,
                f"{client.base_url}/v{client.api_version}{path}",
                params=query,
                json=body,
                headers=headers,
                stream=True,
                timeout=(CONNECT_TIMEOUT_SECONDS, None),
            )
            if answer.status_code >= 400:
                raise EngineRefusal(answer.status_code, refusal_of(answer))
            return answer

        future = self._submit(self._readers, begin)
        try:
            answer = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_unwanted)
            raise
        stream = EngineStream(self, answer)
        self._open.add(stream)
        try:
            yield stream
        finally:
            self._open.discard(stream)
            stream.interrupt()

    async def read(self, stream: EngineStream) -> bytes:
        """The next piece as soon as there is any; empty at the end. Raises EngineUnavailable if it breaks."""
        return await self._submit(self._readers, stream.read)

    def registry_login(self, reference: str) -> dict[str, str]:
        """The header with the login that this machine's Docker configuration has for the image's registry.

        None for engines elsewhere: whose server it is may be in no team that the login is meant for.
        """
        if not self._shows_own_logins:
            return {}
        registry, _ = docker.auth.resolve_repository_name(reference.partition("@")[0])
        try:
            login = docker.auth.resolve_authconfig(docker.auth.load_config(), registry)
        except docker.errors.DockerException:
            # A credential helper that fails must not keep public images away.
            login = None
        return {"X-Registry-Auth": docker.auth.encode_header(login).decode("ascii")} if login else {}

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.wrap_future(self._submitted(pool, work))

    def _submitted(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Future[Result]:
        def guarded() -> Result:
            try:
                return work()
            except docker.errors.APIError as error:
                status = error.response.status_code if error.response is not None else 500
                raise EngineRefusal(status, str(error.explanation or error)) from error
            except (docker.errors.DockerException, *LOST) as error:
                raise self._unavailable(str(error)) from error

        try:
            return pool.submit(guarded)
        except RuntimeError as error:
            raise self._unavailable("the connection is closed") from error

    def _connected(self) -> Any:
        # Made by the first call, because the SDK asks the engine for its API version while it is made.
        with self._client_lock:
            if self._client is None:
                self._client = BoundedClient(
                    base_url=f"unix://{self._socket}",
                    version="auto",
                    timeout=self._call_timeout_seconds,
                    max_pool_size=CALL_THREADS,
                )
            return self._client

    def _unavailable(self, reason: str = "") -> EngineUnavailable:
        return EngineUnavailable(f"The Docker Engine at {self._where} does not answer.", detail=reason)


class EngineStream:
    """An answer that arrives in pieces: iterate it once."""

    def __init__(self, connection: EngineConnection, answer: Any) -> None:
        """`answer` is the response of the SDK's session, not read yet."""
        self._connection = connection
        self._answer = answer
        self._interrupted = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come, until the end or an interrupt."""
        while not self._interrupted and (chunk := await self._connection.read(self)):
            yield chunk

    def read(self) -> bytes:
        """Block for the next piece; empty at the end and after an interrupt. Called in a thread."""
        try:
            return bytes(self._answer.raw.read1(CHUNK_BYTES, decode_content=False))
        except (*LOST, ValueError, AttributeError):
            # Closing under a reader surfaces in as many ways as the layers below have.
            if self._interrupted:
                return b""
            raise

    def interrupt(self) -> None:
        """End it from any thread: a reader that waits wakes up, and the engine sees the socket closed."""
        if self._interrupted:
            return
        self._interrupted = True
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._answer.raw.shutdown()
        self._answer.close()


def _take_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # so that nobody warns about it


def _close_unwanted(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
