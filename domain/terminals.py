"""What a command and the person at its terminal say to each other, over a WebSocket (RFC 6455).

Binary messages carry data: to the command its input as it is; from the command one byte that names the
stream, and then its output. Text messages carry the rest, as JSON objects with an `event`. Neither side sends
more than `WINDOW_BYTES` that the other has not said to have `taken`; so both can always listen, and learn at
once when the other goes away or presses Ctrl-C.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final, Literal, Protocol, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from domain.errors import InvalidInput

WINDOW_BYTES: Final = 256 * 1024
CHUNK_BYTES: Final = 32 * 1024
ALIVE_SECONDS: Final = 15.0
MOST_ARGUMENTS: Final = 1000
LONGEST_COMMAND_BYTES: Final = 100_000


class OutputStream(IntEnum):
    """Where a command wrote; the first byte of what comes from it. A terminal has only the first."""

    STDOUT = 1
    STDERR = 2


class Signal(StrEnum):
    """What a command may be sent (POSIX, signal.h)."""

    INTERRUPT = "INT"
    TERMINATE = "TERM"
    HANG_UP = "HUP"
    QUIT = "QUIT"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Terminal(_Message):
    """The terminal that a command is given: its type (terminfo's name) and size in characters."""

    type: str = Field(default="xterm", pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$")
    columns: int = Field(default=80, ge=1, le=1000)
    rows: int = Field(default=24, ge=1, le=1000)


class Start(_Message):
    """The first message: what shall run. Without `interactive` the command's input is empty.

    An empty command is a login shell, where there is one. A terminal comes with `interactive` only.
    """

    event: Literal["start"] = "start"
    command: tuple[str, ...] = Field(default=(), max_length=MOST_ARGUMENTS)
    interactive: bool = False
    terminal: Terminal | None = None

    @field_validator("command")
    @classmethod
    def _can_be_started(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if any("\0" in argument for argument in command):
            raise ValueError("An argument cannot hold a null byte.")
        try:
            size = sum(len(argument.encode()) + 1 for argument in command)
        except UnicodeEncodeError:
            raise ValueError("An argument is no UTF-8 text.") from None
        if size > LONGEST_COMMAND_BYTES:
            raise ValueError(f"The command is longer than {LONGEST_COMMAND_BYTES} bytes; pass it as input.")
        if command and not command[0]:
            raise ValueError("The command's name is empty.")
        return command

    @model_validator(mode="after")
    def _can_be_talked_to(self) -> Self:
        if not self.interactive and (self.terminal is not None or not self.command):
            raise ValueError("A terminal, and a shell, need to be interactive.")
        return self


class Resize(_Message):
    """The terminal's window has another size now."""

    event: Literal["resize"] = "resize"
    columns: int = Field(ge=1, le=1000)
    rows: int = Field(ge=1, le=1000)


class EndOfInput(_Message):
    """No input comes any more."""

    event: Literal["end-of-input"] = "end-of-input"


class SendSignal(_Message):
    """Give the command a signal."""

    event: Literal["signal"] = "signal"
    signal: Signal


class Taken(_Message):
    """So much of the other side's data has been passed on, since the last time this was said."""

    event: Literal["taken"] = "taken"
    bytes: int = Field(ge=1, le=WINDOW_BYTES)


class Alive(_Message):
    """The person's side is still there; said every `ALIVE_SECONDS`, whatever else is said."""

    event: Literal["alive"] = "alive"


AnySaid = Start | Resize | EndOfInput | SendSignal | Taken | Alive
Said = Annotated[AnySaid, Field(discriminator="event")]
_SAID: TypeAdapter[Any] = TypeAdapter(Said)


def said(text: str) -> AnySaid:
    """What a text message of the person's side says. Raises InvalidInput."""
    try:
        message: AnySaid = _SAID.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        # Not what was given: an argument may be a secret.
        place = ".".join(str(part) for part in first["loc"][1:]) or "message"
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"This message cannot be understood ({place}): {reason}") from None
    return message


def output_message(stream: OutputStream, data: bytes) -> bytes:
    """The binary message for something that a command wrote."""
    return bytes([stream]) + data


def output_of(message: bytes) -> tuple[OutputStream, bytes]:
    """The stream and the data of a binary message from a command. Raises InvalidInput."""
    try:
        return OutputStream(message[0]), message[1:]
    except (IndexError, ValueError) as error:
        raise InvalidInput("This is no output of a command.") from error


class TerminalSession(Protocol):
    """A command that runs, seen from whoever talks to it. Who opened it ends it."""

    def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        """What it writes, until it closes its output. Iterate once."""
        ...

    async def write(self, data: bytes) -> None:
        """Gives it input; returns when it may have more. What nobody reads any more is dropped."""
        ...

    async def end_input(self) -> None:
        """Its input ends."""
        ...

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal has this size; without a terminal nothing happens."""
        ...

    async def signal(self, signal: Signal) -> None:
        """Gives it a signal; one that has ended gets none."""
        ...

    async def exit_code(self) -> int:
        """How it ended, once its output has: by a signal, 128 and its number.

        Raises EngineUnavailable or ServerUnreachable when the way to it broke.
        """
        ...
