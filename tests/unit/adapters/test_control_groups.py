"""The kernel's account of containers, in both versions of control groups."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.control_groups import group_readings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROCESSES = {11: ("shop-1", "shop"), 22: ("mail-1", "mail"), 33: ("gone-1", "gone")}
OUTPUT = """\
pid 11
nanoseconds 5000000000
memory 9000
limit 9223372036854771712
total_inactive_file 1000
  lo: 700 7 0 0 0 0 0 0 700 7 0 0 0 0 0 0
  eth0: 100 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0
  eth1: 10 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
pid 22
usage_usec 3000000
memory 4000
limit max
inactive_file 5000
pid 33
pid 44
memory 1
"""


def test_each_container_has_its_own_counters():
    shop, mail = group_readings(OUTPUT, PROCESSES, NOW)
    assert (shop.name, shop.application_id, shop.at) == ("shop-1", "shop", NOW)
    assert (shop.cpu_nanoseconds, shop.memory_bytes, shop.memory_limit_bytes) == (5 * 10**9, 8000, 0)
    assert (shop.received_bytes, shop.sent_bytes) == (110, 55)
    assert (mail.name, mail.cpu_nanoseconds, mail.memory_bytes) == ("mail-1", 3 * 10**9, 0)
    assert (mail.memory_limit_bytes, mail.received_bytes) == (0, 0)


def test_no_answer_is_no_container():
    assert group_readings("", PROCESSES, NOW) == []
