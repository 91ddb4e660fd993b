"""Rebuilding on request: in stretches named by a cursor, one rebuild at a time, and the same views at the end."""

from typing import Any

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.requests.issues import Create, IssueFields, ListIssues, Script, Show
from moot_protocol.requests.machine import Rebuild
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine import rebuild
from mootd.engine.stored import layout


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(rebuild, "STRETCH", 4)
    api = make_api()
    steps = [{"method": "create", "params": {"project": PROJECT, "fields": {"title": str(n)}}} for n in range(20)]
    api.call(Script(actor="ada", steps=tuple(steps)))
    return api


def finish(api: Api, answer: dict[str, Any]) -> dict[str, Any]:
    """Go on until it is done."""
    while not answer["done"]:
        before = answer["progress"][0]
        answer = api.call(Rebuild(cursor=answer["cursor"]))
        assert answer["progress"][0] > before
    return answer


def listed(api: Api) -> list[str]:
    return [issue["id"] for issue in api.call(ListIssues(limit=0)).issues]


def test_it_goes_on_stretch_by_stretch_and_ends_with_the_same_digests(api: Api) -> None:
    before = listed(api)
    first = api.call(Rebuild())
    assert not first["done"]
    done = finish(api, first)
    assert done["progress"][0] == done["progress"][1]
    assert done["mended"] == 0
    for plane in done["planes"]:
        assert plane["before"] == plane["after"]
    assert listed(api) == before


def test_the_old_views_are_served_meanwhile_and_what_is_written_meanwhile_is_in_the_new_ones(api: Api) -> None:
    first = api.call(Rebuild())
    api.call(Create(actor="ada", project=PROJECT, id="demo-meanwhile", fields=IssueFields(title="Meanwhile")))
    assert "demo-meanwhile" in listed(api)
    finish(api, first)
    assert len(listed(api)) == 21
    assert api.call(Show(ids=("demo-meanwhile",)))[0]["title"] == "Meanwhile"


def test_a_rebuild_that_another_has_replaced_is_refused_and_the_other_goes_on(api: Api) -> None:
    first = api.call(Rebuild())
    second = api.call(Rebuild())
    assert second["progress"] == first["progress"]
    with pytest.raises(MootError) as caught:
        api.call(Rebuild(cursor=first["cursor"]))
    assert (caught.value.code, caught.value.retryable) == (Code.CONFLICT, True)
    assert finish(api, second)["done"]


@pytest.mark.parametrize("cursor", ["1", "no cursor", "-1"])
def test_a_cursor_that_no_rebuild_of_this_process_gave_is_refused(api: Api, cursor: str) -> None:
    with pytest.raises(MootError) as caught:
        api.call(Rebuild(cursor=cursor))
    assert caught.value.code is Code.CONFLICT


def test_a_record_that_was_lost_is_there_again(api: Api) -> None:
    views = layout.Views(api.member.replica.generation)
    with api.member.store.write() as writer:
        api.member.store.clear(writer, views.records)
    finish(api, api.call(Rebuild()))
    assert len(listed(api)) == 20
    with api.member.store.read() as reader:
        assert reader.count(layout.Views(api.member.replica.generation).records) >= 20
        assert reader.count(views.records) == 0
