"""Connection tables of the kernel, as it prints them on a little-endian machine."""

from __future__ import annotations

from adapters.connections import connections_to, established_connections

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
V4 = HEAD + (
    "   0: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n"
    "   1: 030012AC:0BB8 020012AC:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0\n"
    "   2: 030012AC:0BB8 010012AC:D432 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0\n"
    "   3: 030012AC:0BB8 020012AC:D433 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n"
    "   4: 030012AC:D434 020012AC:0BB8 01 00000000:00000000 00:00000000 00000000     0        0 5 1 0\n"
    "   5: 030012AC:0BB9 020012AC:D435 01 00000000:00000000 00:00000000 00000000     0        0 6 1 0\n"
)
MAPPED = "0000000000000000FFFF0000030012AC:0BB8 0000000000000000FFFF0000020012AC:D431"
V6 = HEAD + (
    f"   0: {MAPPED} 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0\n"
    "   1: 00000000000000000000000001000000:0BB8 00000000000000000000000001000000:D432 01 0:0 0:0 0 0 0 3\n"
)


def test_only_established_connections_to_the_port_count():
    assert established_connections(V4, 3000) == 2
    assert established_connections(V4, 3001) == 1
    assert established_connections(V4, 80) == 0


def test_those_of_excluded_addresses_do_not_count():
    assert established_connections(V4, 3000, {"172.18.0.1"}) == 1
    assert established_connections(V4, 3000, {"172.18.0.1", "172.18.0.2"}) == 0


def test_ipv6_and_mapped_ipv4_addresses_are_read():
    assert established_connections(V6, 3000) == 2
    assert established_connections(V6, 3000, {"172.18.0.2"}) == 1
    assert established_connections(V6, 3000, {"::1", "172.18.0.2"}) == 0


def test_an_empty_or_cut_table_counts_nothing():
    assert established_connections("", 3000) == 0
    assert established_connections(HEAD + "   0: 030012AC:0BB8 0200", 3000) == 0


def test_connections_to_addresses_are_counted_from_where_they_begin():
    to_task = "0: 0201000A:D431 0701000A:0BB8 01 00000000:00000000"
    to_task_in_ipv6 = "1: 0000000000000000FFFF00000201000A:D432 0000000000000000FFFF00000701000A:0BB8 01 x"
    closing = "2: 0201000A:D433 0701000A:0BB8 06 00000000:00000000"
    other_port = "3: 0201000A:D434 0701000A:0BB9 01 00000000:00000000"
    other_task = "4: 0201000A:D435 0801000A:0BB8 01 00000000:00000000"
    header = "sl local_address rem_address st"
    table = f"{header}\n{to_task}\n{header}\n{to_task_in_ipv6}\n{closing}\n{other_port}\n{other_task}\n5: cut"
    assert connections_to(table, {("10.0.1.7", 3000)}) == 2
    assert connections_to(table, {("10.0.1.7", 3000), ("10.0.1.8", 3000)}) == 3
    assert connections_to(table, set()) == 0
