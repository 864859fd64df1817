"""The pages with charts of servers and applications."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from datetime import timedelta
from html import unescape

from domain.metrics import Point, Values
from store.columns import now as moment_now
from store.metrics import Subject
from store.tables import ServerEvent
from tests.harness.pages_world import World
from tests.integration.pages.conftest import Visit

SVG = re.compile(r'<svg class="chart".*?</svg>', re.DOTALL)


async def measure(world: World, *subjects: Subject) -> None:
    now = int(time.time())
    values = Values(42, 3e9, 4e9, 0.5, 1000, 2000)
    points = [Point(now - 10 * number, 1, values, values, 8 * 10**9, 10**10) for number in range(60)]
    await world.store.metrics.write([(subject, point) for point in points for subject in subjects])


async def test_a_server_that_nobody_has_watched_yet_says_so(visit: Visit, world: World):
    answer = await visit.get(f"/servers/{world.server.id}/metrics")
    assert answer.status_code == 200
    assert "Nothing was measured yet" in answer.text
    assert " style=" not in answer.text


async def test_a_server_has_four_charts_that_are_pictures_with_words(visit: Visit, world: World):
    await measure(world, Subject(world.server.id))
    page = (await visit.get(f"/servers/{world.server.id}/metrics")).text
    drawn = SVG.findall(page)
    assert len(drawn) == 4
    for svg in drawn:
        picture = ET.fromstring(svg)
        title, description = picture[0], picture[1]
        assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert description.text
    assert "42 % at the end" in page
    assert 'data-live="/ui/servers/' in page
    assert " style=" not in page


async def test_the_same_numbers_are_there_as_a_table(visit: Visit, world: World):
    await measure(world, Subject(world.server.id))
    page = (await visit.get(f"/servers/{world.server.id}/metrics?view=table&range=6h")).text
    assert not SVG.findall(page)
    assert page.count("<table>") == 4
    assert "<td>42 %</td>" in page


async def test_events_are_told_with_their_message_escaped(visit: Visit, world: World):
    event = ServerEvent(server_id=world.server.id, kind="container_died", message="<b>shop-1</b> died.")
    await world.store.watch.record(event)
    page = (await visit.get(f"/servers/{world.server.id}/metrics")).text
    assert "Replica died" in page
    assert "&lt;b&gt;shop-1&lt;/b&gt; died." in page


async def test_all_events_are_reached_without_a_script(visit: Visit, world: World):
    latest = moment_now()
    for number in range(45):
        await world.store.watch.record(
            ServerEvent(
                server_id=world.server.id,
                kind="cleaned_up",
                at=latest - timedelta(hours=number),
                message=f"Event {number}.",
            )
        )
    first = address = f"/servers/{world.server.id}/metrics?range=6h&view=table"
    for numbers in (range(20), range(20, 40), range(40, 45)):
        page = (await visit.get(address)).text
        assert re.findall(r"Event (\d+)\.", page) == [str(number) for number in numbers]
        older = re.search(r'<a href="([^"#]*)#server-events">Older</a>', page)
        newest = re.search(r'<a href="([^"#]*)#server-events">Newest</a>', page)
        assert (unescape(newest[1]) if newest else first) == first
        assert (newest is None) is (address == first)
        live = re.search(r'data-live="([^"]*)"', page)
        assert live is not None
        assert ("before=" in live[1]) is (address != first), "what is shown stays while the charts move"
        address = unescape(older[1]) if older else ""
    assert address == ""
    (event,) = await world.store.watch.events(world.server.id, limit=1, before=latest - timedelta(hours=43))
    past = (await visit.get(f"{first}&before={event.at.isoformat().replace('+', '%2B')}")).text
    assert "Nothing earlier is known" in past


async def test_a_server_with_few_events_has_no_way_to_older_ones(visit: Visit, world: World):
    for path in (f"/servers/{world.server.id}/metrics", f"/servers/{world.server.id}"):
        assert ">Older<" not in (await visit.get(path)).text


async def test_what_is_no_moment_is_no_page(visit: Visit, world: World):
    for before in ("yesterday", "0001-01-01T00:00:00%2B10:00"):
        answer = await visit.get(f"/servers/{world.server.id}/metrics?before={before}")
        assert answer.status_code == 404


async def test_an_application_has_a_line_for_each_replica(visit: Visit, world: World):
    application = await world.application("Shop")
    replicas = [Subject(world.server.id, application.id, f"{application.id}-r-{one}") for one in (1, 2)]
    await measure(world, *replicas)
    page = (await visit.get(f"/applications/{application.id}/metrics")).text
    assert len(SVG.findall(page)) == 4
    assert page.count("line-2") >= 4
    assert 'aria-current="page">Metrics</a>' in page


async def test_what_is_no_range_is_no_page(visit: Visit, world: World):
    assert (await visit.get(f"/servers/{world.server.id}/metrics?range=forever")).status_code == 404
