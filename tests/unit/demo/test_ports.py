from __future__ import annotations

import socket
from pathlib import Path

import pytest

from domain.errors import StartUpError
from seaway.demo import ports
from seaway.demo.ports import Ports


def test_the_usual_ports_are_used_when_they_are_free() -> None:
    assert ports.choose(None, free=lambda _: True) == Ports(api=8000, http=80, https=443)


def test_a_taken_port_is_replaced_by_the_next_free_one_and_said() -> None:
    chosen = ports.choose(None, free=lambda port: port not in {80, 8000, 8080})

    assert chosen == Ports(api=8001, http=8081, https=443)
    assert list(ports.remarks(chosen)) == [
        "The dashboard is on port 8001, because 8000 is in use.",
        "HTTP is on port 8081, because 80 is in use.",
    ]


def test_the_usual_ports_need_no_remark() -> None:
    assert list(ports.remarks(Ports())) == []


def test_no_port_is_given_twice() -> None:
    scarce = {8080, 8081, 8090, 7333, 8333, 8443}
    chosen = ports.choose(None, free=lambda port: port in scarce)

    assert {chosen.api, chosen.http} == {8080, 8081}
    assert (chosen.temporal, chosen.temporal_ui, chosen.proxy_api) == (7333, 8333, 8090)


def test_the_proxy_that_still_serves_keeps_its_ports() -> None:
    previous = Ports(api=8001, http=8080, https=8443)

    assert ports.choose(previous, free=lambda port: port not in {8080, 8443}) == previous


def test_the_dashboard_moves_when_its_previous_port_was_taken_meanwhile() -> None:
    chosen = ports.choose(Ports(api=8001), free=lambda port: port not in {8001, 80, 443})

    assert chosen == Ports(api=8000)


def test_it_gives_up_with_a_sentence_when_nothing_is_free() -> None:
    with pytest.raises(StartUpError, match="No free port: 8000 and 8001 to 8100"):
        ports.choose(None, free=lambda _: False)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports.is_free(port)

    assert ports.is_free(port)


def test_the_choice_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    ports.write(path, Ports(api=8001))

    assert ports.read(path) == Ports(api=8001)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"api": 1, "colour": 2}'])
def test_a_damaged_choice_is_the_same_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(content)

    assert ports.read(path) is None
