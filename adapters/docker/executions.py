"""Commands inside running containers, which end when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence

from pydantic import SecretStr

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.streams import FrameReader, LineReader, StreamName
from domain.errors import CommandFailed, DeadlineExceeded, EngineUnavailable

# How long a command that was told to end may take before it is killed, and how long we look for that.
END_GRACE_SECONDS = 5
END_LIMIT_SECONDS = 10.0

# The Engine API cannot end an exec'd process. So the command runs under a shell whose input is our
# connection: when we cancel, die or lose the link, the engine closes that input, the watcher reads the end of
# it and ends the process group. (runc makes every exec'd process the leader of a session, so group 0 is the
# command and what it started, and nothing else.) The shell waits for the command through a TERM, so that the
# exit code stays the command's. A link that breaks looks like the end of the output, so the shell says when
# it has come to its end: what ends without a word was cut off.
WATCHED = f"""
exec 3<&0
trap : TERM
{{
  trap '' TERM
  read -r _ <&3
  kill -TERM 0
  sleep {END_GRACE_SECONDS}
  kill -KILL 0
}} </dev/null >/dev/null 2>&1 &
watcher=$!
"$@" </dev/null 3<&-
code=$?
kill -KILL "$watcher" 2>/dev/null
echo "$0" >&2
exit "$code"
"""
# How engines tell, on the command's own output, that the runtime could not start it.
CANNOT_RUN_CODES = (126, 127)
RUNTIME_FAILURE = "OCI runtime exec failed"


class Executions(EngineConnection):
    """Runs commands by `exec`. The image needs `/bin/sh`."""

    async def execute(
        self,
        name: str,
        argv: Sequence[str],
        on_line: Callable[[str], None],
        timeout_seconds: float,
        environment: Mapping[str, SecretStr] | None = None,
    ) -> int:
        """Run a command in a running container and return its exit code; `on_line` hears both streams.

        On cancel, and after `timeout_seconds` (DeadlineExceeded), the command and what it started are ended
        before this returns. Raises CommandFailed when the container does not run or has no shell, and
        EngineUnavailable when the connection broke under the command, which has then been told to end.
        """
        end_mark = f"seaway-end-{secrets.token_hex(16)}"
        execution = await self._create_execution(name, [end_mark, *argv], environment or {})
        last = ""
        has_ended = False

        def hear(line: str) -> None:
            nonlocal last, has_ended
            if line.endswith(end_mark):  # after what the command wrote last, if that was no whole line
                has_ended = True
                line = line.removesuffix(end_mark)
                if not line:
                    return
            last = line
            on_line(line)

        try:
            async with asyncio.timeout(timeout_seconds):
                await self._attend(execution, hear)
        except TimeoutError as error:
            await self._ended(execution)
            message = f"The command in {name} took longer than {timeout_seconds:g} seconds."
            raise DeadlineExceeded(message) from error
        except asyncio.CancelledError:
            with contextlib.suppress(EngineUnavailable):
                await self._ended(execution)
            raise
        except EngineRefusal as refusal:
            raise CommandFailed(f"The command in {name} cannot start: {refusal.reason}") from refusal
        code = await self._ended(execution)
        if code in CANNOT_RUN_CODES and last.startswith(RUNTIME_FAILURE):
            raise CommandFailed(f"Commands cannot run in {name}: its image has no /bin/sh.", detail=last)
        if not has_ended and await self._still_runs(name):
            raise EngineUnavailable(f"The connection to the command in {name} broke off before its end.")
        return code

    async def _still_runs(self, name: str) -> bool:
        """Whether the container does, so that its end was not that of the command."""
        try:
            facts = await self.call(lambda client: client.inspect_container(name))
        except EngineRefusal:
            return False
        return bool(facts["State"]["Running"])

    async def _create_execution(
        self, name: str, argv: Sequence[str], environment: Mapping[str, SecretStr]
    ) -> str:
        command = ["/bin/sh", "-c", WATCHED, *argv]
        variables = [f"{key}={value.get_secret_value()}" for key, value in environment.items()]
        try:
            answer = await self.call(
                lambda client: client.exec_create(name, command, stdin=True, environment=variables)
            )
        except EngineRefusal as refusal:
            if refusal.status in (404, 409):
                raise CommandFailed(
                    f"The command cannot run: the container {name} does not run.", detail=refusal.reason
                ) from refusal
            raise
        return str(answer["Id"])

    async def _attend(self, execution: str, on_line: Callable[[str], None]) -> None:
        frames = FrameReader()
        lines: dict[StreamName, LineReader] = {"stdout": LineReader(), "stderr": LineReader()}
        start = {"Detach": False, "Tty": False}
        async with self.stream("POST", f"/exec/{execution}/start", body=start) as stream:
            async for chunk in stream:
                for name, payload in frames.feed(chunk):
                    for line in lines[name].feed(payload):
                        on_line(line)
        for reader in lines.values():
            for line in reader.rest():
                on_line(line)

    async def _ended(self, execution: str) -> int:
        """The exit code, once the engine knows that the process is gone (a moment after its output ends)."""
        pause = 0.005
        try:
            async with asyncio.timeout(END_LIMIT_SECONDS):
                while True:
                    facts = await self.call(lambda client: client.exec_inspect(execution))
                    if not facts["Running"] and facts["ExitCode"] is not None:
                        return int(facts["ExitCode"])
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 0.25)
        except TimeoutError as error:
            raise EngineUnavailable("The engine does not say whether the command ended.") from error
