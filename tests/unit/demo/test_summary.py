from __future__ import annotations

from pathlib import Path

from seaway.demo.__main__ import application_url, main, summary
from seaway.demo.client import Credentials


def test_the_summary_names_every_address_and_the_log_in() -> None:
    credentials = Credentials("http://d:8001", "token", "me@example.org", "word", "http://t:8233", 8080)

    text = summary(credentials, Path("/data/of the demo"))

    for part in ("http://example.localhost:8080", "http://d:8001", "http://t:8233", "me@example.org  word"):
        assert part in text
    # There Seaway keeps the log-in; what is the demo's own lies in a folder below.
    assert text.count("/data/of the demo/") == 1
    assert "/data/of the demo/demo/seaway.log" in text
    assert "export SEAWAY_DATA_DIR='/data/of the demo'\n" in text
    assert "token" not in text


def test_the_usual_port_is_left_out_of_the_address() -> None:
    assert application_url(80) == "http://example.localhost"


def test_stopping_where_nothing_runs_is_harmless(tmp_path: Path) -> None:
    assert main(["--data-dir", str(tmp_path), "--stop"]) == 0
    assert main(["--data-dir", str(tmp_path), "--remove"]) == 0
