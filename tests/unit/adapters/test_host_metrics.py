"""What servers print about themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.host_metrics import host_reading, look_arguments

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINUX = """\
cpu  100 20 30 800 50 1 2 3 40 5
cpu0 50 10 15 400 25 1 1 2 20 2
cpu1 50 10 15 400 25 0 1 1 20 3
MemTotal:        4000 kB
MemFree:          100 kB
MemAvailable:    3000 kB
load 1.25
Filesystem     1024-blocks      Used Available Capacity Mounted on
/dev/vda1             1000       200       600      25% /
/dev/vdb1             5000      4000      1000      80% /var/lib/my docker
"""


def test_one_answer_says_it_all():
    reading = host_reading(LINUX, NOW)
    assert reading is not None
    assert reading.total_jiffies == 100 + 20 + 30 + 800 + 50 + 1 + 2 + 3
    assert reading.busy_jiffies == reading.total_jiffies - 850
    assert reading.processors == 2
    assert reading.memory_bytes == 1000 * 1024
    assert reading.memory_total_bytes == 4000 * 1024
    assert reading.load == 1.25
    assert (reading.disk_bytes, reading.disk_total_bytes) == (4000 * 1024, 5000 * 1024)
    assert reading.disk_mount == "/var/lib/my docker"
    assert reading.disk_percent == 80


def test_blocks_for_root_alone_count_as_full():
    reading = host_reading(LINUX.replace("4000      1000", "4000       100"), NOW)
    assert reading is not None
    assert reading.disk_percent == pytest.approx(100 * 4000 / 4100)


@pytest.mark.parametrize(
    "missing", ["cpu ", "MemTotal:", "MemAvailable:", "/dev/vd"], ids=lambda text: text.strip(" :")
)
def test_an_answer_without_a_part_is_no_answer(missing: str):
    lines = [line for line in LINUX.splitlines() if not line.startswith(missing)]
    assert host_reading("\n".join(lines), NOW) is None


@pytest.mark.parametrize("text", ["", "sh: not found", "cpu a b c d e\n", "\x00\n" * 10, LINUX[:30]])
def test_nonsense_is_no_answer(text: str):
    assert host_reading(text, NOW) is None


def test_folders_are_arguments_and_never_part_of_the_script():
    folder = "/data; rm -rf $HOME"
    assert look_arguments([folder])[-1] == folder
    assert folder not in look_arguments([folder])[2]


def test_a_mount_that_a_server_makes_up_is_cut_and_printable():
    reading = host_reading(LINUX + "/dev/vdc1 10 10 0 100% /\x1b]0;" + "x" * 100_000 + "\n", NOW)
    assert reading is not None
    assert reading.disk_mount.startswith("/?]0;x")
    assert len(reading.disk_mount) == 200


@pytest.mark.parametrize("number", ["-5", "9" * 400])
def test_numbers_that_no_server_has_are_none(number: str):
    assert host_reading(LINUX + f"/dev/vdc1 10 {number} 1 100% /data\n", NOW) is None
