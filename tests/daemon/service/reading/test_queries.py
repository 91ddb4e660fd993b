"""Requests that look over many issues are answered from the plane they name, or from all."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.requests.actions import ACTION_REQUESTS
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import Count, Labels, Stats
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import QUERY_REQUESTS, Duplicates, Lint, Query, Similar, Stale
from moot_testkit.towns.engine import ids_of
from moot_testkit.towns.planes import TEAM, TEAM_PROJECT, create_on, two_planes
from mootd.service.reading.queries import QUERY_READS
from mootd.service.reading.reads import READS


def test_every_request_of_the_subject_is_answered() -> None:
    reading = {request for request in ACTION_REQUESTS if not issubclass(request, Mutation)}
    assert set(QUERY_READS) == set(QUERY_REQUESTS) | reading | {Count, Labels, Stats}
    assert set(QUERY_READS) <= set(READS)


def test_a_plane_narrows_what_is_looked_over() -> None:
    desk = two_planes()
    create_on(desk, "ledger", "mt-one", title="Same words here")
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT, title="Same words here")
    later = desk.clock.now_ms() + 1
    assert sorted(ids_of(desk.ask(Query(text="type=task", limit=0)).issues)) == ["mt-one", "tm-one"]
    assert ids_of(desk.ask(Query(text="type=task", plane=TEAM)).issues) == ["tm-one"]
    assert ids_of(desk.ask(Stale(before=later, filter=Filter(plane=TEAM))).issues) == ["tm-one"]
    assert desk.ask(Lint(filter=Filter(plane=TEAM)))["checked"] == 1
    assert desk.ask(Duplicates(plane=TEAM)) == []
    assert desk.ask(Similar(filter=Filter(plane=TEAM)))["pairs"] == []
    assert len(desk.ask(Similar())["pairs"]) == 1


@pytest.mark.parametrize("request_", [Query(text="type=task", plane="no"), Duplicates(plane="no")])
def test_a_plane_that_isnt_there_is_told(request_: Request[object]) -> None:
    desk = two_planes()
    with pytest.raises(MootError) as caught:
        desk.ask(request_)
    assert caught.value.code is Code.NOT_FOUND
