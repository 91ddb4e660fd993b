"""Aliases: another name that means an issue everywhere, beside its id; clashes are told and never guessed about."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.actions import Rename, Undo
from moot_protocol.requests.issues import (
    Conflicts,
    Create,
    Delete,
    Edges,
    IssueFields,
    ListIssues,
    Resolve,
    ResolveIds,
    Script,
    Undelete,
    Update,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.engine import Desk, exchange, ids_of, town_of
from moot_testkit.towns.planes import TEAM, TEAM_PROJECT, create_on, two_planes
from mootd.engine.checking.row_check import RowCheck
from mootd.engine.issues.names import Names
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-a1b2c3d4")
    desk.create("mt-other")
    return desk


def rename(desk: Desk, issue: str, alias: str, **parts: Any) -> dict[str, Any]:
    desk.clock.advance(1000)
    return desk.do(Rename(actor="alice", id=issue, alias=alias, **parts))


def meant(desk: Desk, typed: str) -> str:
    return desk.ask(ResolveIds(ids=(typed,)))[0]


def test_a_name_that_an_issue_has_already_is_told_as_such_and_nothing_is_written(desk: Desk) -> None:
    assert "_unchanged" not in rename(desk, "mt-a1b2c3d4", "login-page")
    before = desk.log_length()
    assert rename(desk, "mt-a1b2c3d4", "login-page")["_unchanged"] is True
    assert rename(desk, "mt-other", "mt-other")["_unchanged"] is True
    assert desk.log_length() == before


# -- Meaning -----------------------------------------------------------------------------------------------------
def test_an_alias_means_its_issue_wherever_an_id_can_stand(desk: Desk) -> None:
    rename(desk, "mt-a1b2c3d4", "login-page")
    assert meant(desk, "login-page") == meant(desk, "mt-a1b2c3d4") == meant(desk, "a1b2") == "mt-a1b2c3d4"
    desk.do(Update(actor="alice", id="login-page", fields=IssueFields(priority=0)))
    desk.link("mt-other", "login-page")
    shown = desk.show("login-page")
    assert (shown["id"], shown["_alias"], shown["priority"]) == ("mt-a1b2c3d4", "login-page", 0)
    (edge,) = desk.ask(Edges(id="mt-other"))
    assert (edge["id"], edge["_alias"]) == ("mt-a1b2c3d4", "login-page")
    assert desk.show("mt-a1b2c3d4")["dependents"][0]["id"] == "mt-other"


def test_the_beginning_of_an_alias_will_do(desk: Desk) -> None:
    rename(desk, "mt-a1b2c3d4", "app-login")
    assert meant(desk, "app-logi") == "mt-a1b2c3d4"
    assert desk.refusal(ResolveIds(ids=("app-log",))) is Code.NOT_FOUND
    rename(desk, "mt-other", "app-logout")
    assert desk.refusal(ResolveIds(ids=("app-log",))) is Code.NOT_FOUND
    assert meant(desk, "app-logo") == "mt-other"


def test_an_id_beats_an_alias_and_a_whole_alias_the_beginning_of_an_id(desk: Desk) -> None:
    rename(desk, "mt-other", "mt-b2c3")
    desk.create("mt-b2c3d4e5")
    assert meant(desk, "mt-b2c3") == "mt-other"
    assert meant(desk, "mt-b2c3d") == "mt-b2c3d4e5"


@pytest.mark.parametrize("alias", ["mt-a1b2", "mt-a1b2c3", "a1b2"])
def test_what_is_shown_as_another_issues_id_is_refused_as_alias_by_its_name(desk: Desk, alias: str) -> None:
    with pytest.raises(RefusedError, match="taken for mt-a1b2c3d4") as raised:
        rename(desk, "mt-other", alias)
    assert raised.value.code is Code.EXISTS
    assert "mt-" not in str(raised.value.discreet).removeprefix(alias)
    assert rename(desk, "mt-a1b2c3d4", alias)["_alias"] == alias


def test_what_no_id_is_shown_as_can_be_an_alias_though_ids_begin_so(desk: Desk) -> None:
    desk.create("mt-a1b2x")
    assert rename(desk, "mt-other", "mt-a1b2")["_alias"] == "mt-a1b2"
    desk.create("mt-login-page")
    assert rename(desk, "mt-other", "mt-login")["_alias"] == "mt-login"


def test_short_ids_are_long_enough_to_be_told_from_aliases(desk: Desk) -> None:
    def shown() -> int:
        with desk.replica.read() as reader:
            entities = desk.entities(reader)
            return Names(reader, entities.views, desk.replica.ledger.number).unique_chars("mt-a1b2c3d4")

    assert shown() == len("mt-a1b2")
    rename(desk, "mt-other", "mt-a1b2x")
    assert shown() == len("mt-a1b2c")


def test_another_alias_takes_the_place_of_the_first_and_none_takes_it_away(desk: Desk) -> None:
    rename(desk, "mt-other", "first")
    rename(desk, "first", "second")
    assert desk.refusal(ResolveIds(ids=("first",))) is Code.NOT_FOUND
    rename(desk, "second", "")
    assert "_alias" not in desk.show("mt-other")
    assert desk.refusal(ResolveIds(ids=("second",))) is Code.NOT_FOUND


def test_its_own_id_as_alias_takes_the_alias_away(desk: Desk) -> None:
    rename(desk, "mt-other", "first")
    assert "_alias" not in rename(desk, "mt-other", "mt-other")


def test_a_deleted_issue_is_found_by_its_alias(desk: Desk) -> None:
    rename(desk, "mt-other", "gone")
    desk.do(Delete(actor="alice", id="gone"))
    desk.do(Undelete(actor="alice", id="gone"))
    assert desk.show("gone")["id"] == "mt-other"


def test_a_search_finds_an_alias_as_it_finds_an_id(desk: Desk) -> None:
    rename(desk, "mt-other", "app-login")
    for typed in ("app-l", "login"):
        assert ids_of(desk.ask(ListIssues(filter=Filter(title_or_id=typed))).issues) == ["mt-other"]
    assert desk.ask(ListIssues(filter=Filter(title_or_id="ogin"))).issues == []


# -- Refusals ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alias", ["mt-a1b2c3d4", "taken"])
def test_what_means_another_issue_is_refused(desk: Desk, alias: str) -> None:
    desk.create("mt-third")
    rename(desk, "mt-third", "taken")
    assert desk.refusal(Rename(actor="alice", id="mt-other", alias=alias)) is Code.EXISTS


@pytest.mark.parametrize("alias", ["two words", "plane:id", "$1", "x" * 300, "a\nb"])
def test_what_can_be_no_name_is_refused(desk: Desk, alias: str) -> None:
    assert desk.refusal(Rename(actor="alice", id="mt-other", alias=alias)) is Code.INVALID


def test_a_new_issue_takes_no_id_that_is_an_alias(desk: Desk) -> None:
    rename(desk, "mt-other", "taken")
    create = Create(actor="alice", project="mt", id="taken", fields=IssueFields(title="New"))
    assert desk.refusal(create) is Code.EXISTS


# -- Elsewhere ---------------------------------------------------------------------------------------------------
def test_one_alias_given_twice_at_once_means_neither_and_is_told() -> None:
    here, there = town_of("here", "there")
    here.create("mt-one")
    here.create("mt-two")
    exchange(here, there)
    rename(here, "mt-one", "same")
    rename(there, "mt-two", "same")
    exchange(here, there)
    for desk in (here, there):
        assert desk.refusal(ResolveIds(ids=("same",))) is Code.AMBIGUOUS
        (clash,) = desk.ask(Conflicts())
        assert (clash["field"], clash["shown"]) == ("alias", "same")
        assert sorted(value["value"] for value in clash["values"]) == ["mt-one", "mt-two"]
    rename(there, "mt-two", "other")
    assert meant(there, "same") == "mt-one"
    assert there.ask(Conflicts()) == []


def test_two_aliases_given_to_one_issue_at_once_are_a_conflict_like_any() -> None:
    here, there = town_of("here", "there")
    here.create("mt-one")
    exchange(here, there)
    rename(here, "mt-one", "first")
    rename(there, "mt-one", "second")
    exchange(here, there)
    assert [found["field"] for found in here.ask(Conflicts())] == ["alias"]
    here.do(Resolve(actor="alice", id="mt-one", field="alias", pick=1))
    assert here.ask(Conflicts()) == []
    assert meant(here, here.show("mt-one")["_alias"]) == "mt-one"


def test_an_alias_may_be_looked_for_on_one_plane() -> None:
    desk = two_planes()
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT)
    rename(desk, "tm-one", "login")
    assert meant(desk, "login") == meant(desk, f"{TEAM}:login") == "tm-one"


def test_scripts_rename_and_an_undo_takes_it_back(desk: Desk) -> None:
    steps = ({"method": "rename", "params": {"id": "mt-other", "alias": "new-name"}},)
    desk.clock.advance(1000)
    desk.do(Script(actor="alice", steps=steps))
    assert meant(desk, "new-name") == "mt-other"
    desk.do(Undo(actor="alice"))
    assert desk.refusal(ResolveIds(ids=("new-name",))) is Code.NOT_FOUND


def test_beads_files_know_no_alias(desk: Desk) -> None:
    rename(desk, "mt-other", "new-name")
    assert not any("new-name" in line for line in desk.ask(Export())["lines"])


@pytest.mark.parametrize("alias", ["ü" * 300, "a\0b", "x" * 5000, 7, ["list"]])
def test_what_a_hostile_machine_writes_as_alias_is_none(desk: Desk, alias: Any) -> None:
    with desk.replica.transaction() as unit:
        unit.append(desk.replica.ledger.number, Draft(ISSUE, "mt-other", "eve", [Write("alias", alias)]))
    assert "_alias" not in desk.show("mt-other")
    assert desk.index(layout.ALIAS) == set()
    assert desk.ask(Conflicts()) == []
    assert meant(desk, "mt-other") == "mt-other"


# -- Views -------------------------------------------------------------------------------------------------------
def test_a_rebuild_finds_every_alias_and_a_check_no_problem(desk: Desk) -> None:
    rename(desk, "mt-other", "first")
    rename(desk, "mt-other", "second")
    keys = desk.index(layout.ALIAS)
    assert [layout.alias_parts(key)[0] for key in keys] == ["second"]
    with desk.replica.read() as reader:
        check = RowCheck(desk.entities(reader))
        eid = layout.eid_of(next(iter(keys)))
        assert check.problem(eid, desk.records()["mt-other"]) == ""
    rebuild = Rebuild()
    done = False
    while not done:
        with desk.replica.transaction() as unit:
            done = rebuild.step(unit)["done"]
    assert meant(desk, "second") == "mt-other"
