"""Server-sent events (WHATWG HTML, section 9.2): the parser, apart from what reads the bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event. `id` is the last id that the stream gave so far, to resume after."""

    name: str
    data: str
    id: str = ""

    def json(self) -> dict[str, object]:
        """The data as a JSON object; text that is none is found under `text`."""
        try:
            document = json.loads(self.data)
        except ValueError:
            return {"text": self.data}
        return document if isinstance(document, dict) else {"text": self.data}


def parse_events(lines: Iterable[str], last_id: str = "") -> Iterator[ServerEvent]:
    """The events of a stream of lines without their ends. An event cut off by its end is dropped."""
    name, data = "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield ServerEvent(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif key == "id" and "\0" not in value:
            last_id = value
