"""With several planes a write goes to the plane that holds its issue, or that its project belongs to."""

from typing import Any

import pytest

from moot_protocol.beads.pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    Edge,
    InitProject,
    IssueFields,
    Script,
    Show,
    Update,
    WorkspaceInfo,
)
from moot_protocol.requests.transfer import Import, ImportEdits
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.engine import PROJECT, Desk
from moot_testkit.towns.planes import (
    TEAM,
    TEAM_PROJECT,
    clash,
    create_on,
    make_twins,
    open_plane,
    open_project,
    plane_holding,
    two_planes,
    waiting_plane,
)
from mootd.engine.issues.addressing import has_project, plane_of
from mootd.service.writing.writes import carry_out

LEDGER = "ledger"


@pytest.fixture
def desk() -> Desk:
    return two_planes()


def create(project: str, **parts: Any) -> Create:
    return Create(actor="alice", project=project, fields=IssueFields(title="An issue"), **parts)


def refused(desk: Desk, request: Mutation[Any]) -> RefusedError:
    """How a write is refused; nothing of it may stay."""
    before = desk.tables()
    with pytest.raises(RefusedError) as raised:
        desk.do(request)
    assert desk.tables() == before
    return raised.value


def acted_on(desk: Desk, request: Any) -> str:
    with desk.replica.transaction() as unit:
        return desk.replica.planes[plane_of(unit, request)].name


# -- By the issue ------------------------------------------------------------------------------------------------
def test_an_issue_is_changed_on_the_plane_that_holds_it(desk: Desk) -> None:
    create_on(desk, "", "mt-aaaa22")
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    for name, plane in (("mt-aaaa22", LEDGER), ("tm-bbbb22", TEAM)):
        before = {row.name: desk.digest(row.number) for row in desk.replica.planes.values()}
        assert desk.update(name, priority=0)["priority"] == 0
        after = {row.name: desk.digest(row.number) for row in desk.replica.planes.values()}
        assert {each for each in before if before[each] != after[each]} == {plane}
        assert plane_holding(desk, name) == plane
    comment = desk.do(AddComment(actor="bob", id="tm-bbbb22", text="seen"))
    assert [each["id"] for each in desk.show("tm-bbbb22")["comments"]] == [comment["id"]]


def test_a_short_id_means_the_one_plane_that_has_such_an_issue(desk: Desk) -> None:
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    create_on(desk, "", "mt-bbcc22")
    assert desk.do(Close(actor="alice", id="bbbb"))["id"] == "tm-bbbb22"
    assert desk.refusal(Close(actor="alice", id="dddd")) is Code.NOT_FOUND


def test_a_whole_id_on_one_plane_comes_before_the_beginning_of_another_planes(desk: Desk) -> None:
    create_on(desk, "", "x-abcd", TEAM_PROJECT)
    create_on(desk, "", "x-abcdef")
    assert acted_on(desk, Close(actor="alice", id="x-abcd")) == TEAM
    assert acted_on(desk, Close(actor="alice", id="x-abcde")) == LEDGER


def test_what_may_mean_issues_of_two_planes_is_refused_with_both_and_their_planes(desk: Desk) -> None:
    create_on(desk, "", "mt-abcd22")
    create_on(desk, "", "tm-abcd33", TEAM_PROJECT)
    error = refused(desk, Close(actor="alice", id="abcd"))
    assert error.code is Code.AMBIGUOUS
    assert "mt-abcd22 on plane ledger, tm-abcd33 on plane team" in error.message


def test_an_id_that_two_planes_have_needs_the_plane_before_it(desk: Desk) -> None:
    make_twins(desk)
    error = refused(desk, Update(actor="alice", id="mt-same22", fields=IssueFields(priority=0)))
    assert error.code is Code.AMBIGUOUS
    assert error.hint.endswith("ledger:mt-same22")
    for plane, priority in ((LEDGER, 0), (TEAM, 4)):
        named = Update(actor="alice", id=f"{plane}:mt-same22", fields=IssueFields(priority=priority))
        assert (acted_on(desk, named), desk.do(named)["priority"]) == (plane, priority)
    assert [desk.show(f"{plane}:same")["priority"] for plane in (LEDGER, TEAM)] == [0, 4]
    assert desk.refusal(Show(ids=("nosuch:mt-same22",))) is Code.NOT_FOUND


# -- By the project ----------------------------------------------------------------------------------------------
def test_an_issue_is_made_on_the_plane_that_its_project_belongs_to(desk: Desk) -> None:
    assert plane_holding(desk, desk.do(create(PROJECT))["id"]) == LEDGER
    assert plane_holding(desk, desk.do(create(TEAM_PROJECT))["id"]) == TEAM
    assert acted_on(desk, Import(actor="alice", project=TEAM_PROJECT, lines=())) == TEAM
    pairs = (LinePair(0, b"", 1, b'{"id": "tm-1", "title": "A line"}'),)
    desk.do(ImportEdits(actor="alice", project=TEAM_PROJECT, pairs=pairs))
    assert plane_holding(desk, "tm-1") == TEAM


def test_a_new_project_goes_to_the_plane_that_is_named_else_to_the_first_ledger(desk: Desk) -> None:
    third = open_plane(desk, "shared", PlaneKind.FEDERATION)
    for prefix, named, plane in (("aa", "", 1), ("bb", "shared", third), ("cc", "team", 3)):
        made = desk.do(InitProject(actor="alice", prefix=prefix, plane=named))
        assert made["created"]
        with desk.replica.transaction() as unit:
            assert [row for row in desk.replica.planes if has_project(unit, row, prefix)] == [plane]
        known = desk.ask(WorkspaceInfo(workspace=made["workspace"]))
        assert known is not None
        assert known["plane"] == desk.replica.planes[plane].id.hex()


def test_a_project_that_is_open_is_joined_on_its_plane(desk: Desk) -> None:
    made = desk.do(InitProject(actor="bob", prefix=TEAM_PROJECT))
    known = desk.ask(WorkspaceInfo(workspace=made["workspace"]))
    assert not made["created"]
    assert known is not None
    assert known["plane"] == desk.replica.plane_named(TEAM).id.hex()


@pytest.mark.parametrize(
    "request_",
    [
        InitProject(actor="alice", prefix=PROJECT, plane=TEAM),
        create(PROJECT, plane=TEAM),
        ImportEdits(actor="alice", project=PROJECT, plane=TEAM, pairs=()),
    ],
)
def test_a_project_belongs_to_one_plane(desk: Desk, request_: Mutation[Any]) -> None:
    error = refused(desk, request_)
    assert error.code is Code.CONFLICT
    assert error.message == "project mt belongs to plane ledger, not to team"


def test_no_project_goes_to_a_plane_without_issues_or_to_none(desk: Desk) -> None:
    assert refused(desk, InitProject(actor="alice", prefix="new", plane="operational")).code is Code.INVALID
    assert refused(desk, InitProject(actor="alice", prefix="new", plane="nosuch")).code is Code.NOT_FOUND


def test_a_prefix_that_two_planes_have_is_refused_and_the_planes_are_told(desk: Desk) -> None:
    clash(desk)
    for request in (create(PROJECT), InitProject(actor="alice", prefix=PROJECT)):
        error = refused(desk, request)
        assert error.code is Code.AMBIGUOUS
        assert error.message == "several planes have a project mt: ledger, team"
    assert plane_holding(desk, desk.do(create(PROJECT, plane=TEAM))["id"]) == TEAM
    assert plane_holding(desk, desk.do(create(PROJECT, plane=LEDGER))["id"]) == LEDGER


def test_a_workspace_knows_which_of_two_planes_its_project_belongs_to(desk: Desk) -> None:
    clash(desk)
    number = desk.replica.plane_named(TEAM).number
    workspace = open_project(desk, number, PROJECT)
    desk.do(InitProject(actor="alice", prefix=PROJECT, workspace=workspace, folder="/moved"))
    known = desk.ask(WorkspaceInfo(workspace=workspace))
    assert known == {"project": PROJECT, "folder": "/moved", "plane": desk.replica.planes[number].id.hex()}
    assert plane_holding(desk, desk.do(create(PROJECT, plane=known["plane"]))["id"]) == TEAM


def test_planes_of_one_name_are_told_apart_by_their_ids(desk: Desk) -> None:
    number = open_plane(desk, LEDGER)
    open_project(desk, number, PROJECT)
    other = desk.replica.planes[number].id.hex()
    error = refused(desk, create(PROJECT))
    assert error.message.endswith(f"{desk.replica.ledger.id.hex()[:8]}, {other[:8]}")
    made = desk.do(create(PROJECT, plane=other[:8]))
    assert desk.records()[made["id"]].plane == number


# -- Ids and dependencies ----------------------------------------------------------------------------------------
def test_no_new_issue_takes_the_id_of_one_on_another_plane(desk: Desk) -> None:
    create_on(desk, "", "x-1")
    error = refused(desk, create(TEAM_PROJECT, id="x-1"))
    assert error.code is Code.EXISTS
    assert error.message == "there is an issue x-1 already on plane ledger"


@pytest.mark.parametrize(
    "request_",
    [
        AddEdge(actor="alice", id="tm-bbbb22", edge=Edge(to="mt-aaaa22")),
        AddEdge(actor="alice", id="tm-bbbb22", edge=Edge(to="aaaa")),
        AddEdge(actor="alice", id="tm-bbbb22", edge=Edge(to="ledger:mt-aaaa22")),
        Update(actor="alice", id="tm-bbbb22", parent="mt-aaaa22"),
        create(TEAM_PROJECT, parent="mt-aaaa22"),
        create(TEAM_PROJECT, edges=(Edge(to="mt-aaaa22"),)),
    ],
)
def test_a_dependency_on_an_issue_of_another_plane_is_refused_in_words(desk: Desk, request_: Mutation[Any]) -> None:
    create_on(desk, "", "mt-aaaa22")
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    error = refused(desk, request_)
    assert error.code is Code.INVALID
    assert error.message.startswith("mt-aaaa22 is on plane ledger; dependencies of an issue on plane team lead to")
    assert "external:mt-aaaa22" in error.hint


def test_a_dependency_on_what_is_nowhere_or_was_deleted_here_is_not_found(desk: Desk) -> None:
    create_on(desk, "", "x-1", TEAM_PROJECT)
    create_on(desk, "", "x-dead", TEAM_PROJECT)
    create_on(desk, "", "x-deadbeef")
    desk.do(Delete(actor="alice", id="x-dead"))
    for target in ("x-nosuch", "x-dead"):
        error = refused(desk, AddEdge(actor="alice", id="x-1", edge=Edge(to=target)))
        assert error.code is Code.NOT_FOUND


def test_a_short_dependency_means_the_issue_of_the_same_plane(desk: Desk) -> None:
    create_on(desk, "", "mt-aaaa22")
    create_on(desk, "", "tm-aaaa33", TEAM_PROJECT)
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    assert desk.link("tm-bbbb22", "aaaa")["depends_on_id"] == "tm-aaaa33"
    assert desk.blocked() == ["tm-bbbb22"]


# -- Scripts and planes that wait --------------------------------------------------------------------------------
def test_a_script_touches_several_planes_all_or_nothing(desk: Desk) -> None:
    create_on(desk, "", "mt-aaaa22")
    create_on(desk, "", "tm-bbbb22", TEAM_PROJECT)
    steps = [{"method": "close", "params": {"id": name}} for name in ("mt-aaaa22", "tm-bbbb22")]
    lacking = [*steps, {"method": "close", "params": {"id": "nosuch"}}]
    with pytest.raises(RefusedError), desk.replica.transaction() as unit, unit.savepoint():
        carry_out(unit, Script(actor="alice", steps=tuple(lacking)))
    assert [desk.show(name)["status"] for name in ("mt-aaaa22", "tm-bbbb22")] == ["open", "open"]
    made = {"method": "create", "params": {"project": TEAM_PROJECT, "fields": {"title": "New"}}}
    edge = {"method": "add_edge", "params": {"id": "tm-bbbb22", "edge": {"to": "$3"}}}
    answers = desk.do(Script(actor="alice", steps=(*steps, made, edge)))
    assert [desk.show(name)["status"] for name in ("mt-aaaa22", "tm-bbbb22")] == ["closed", "closed"]
    assert plane_holding(desk, answers[2]["id"]) == TEAM


def test_a_write_to_a_plane_that_waits_for_its_charter_is_refused_in_words(desk: Desk) -> None:
    waiting_plane(desk)
    error = refused(desk, InitProject(actor="alice", prefix="far", plane="far"))
    assert (error.code, error.retryable) == (Code.NOT_READY, True)
    assert error.message == "plane far is waiting for its charter; run `moot sync --wait`"
    assert plane_holding(desk, desk.do(create(PROJECT))["id"]) == LEDGER


def test_without_a_town_every_write_is_told_so() -> None:
    for request in (create(PROJECT), Close(actor="alice", id="mt-1"), InitProject(actor="alice", prefix="mt")):
        assert refused(Desk(), request).code is Code.NOT_READY


def test_a_project_that_nobody_opened_is_refused_where_others_are_and_those_are_listed(desk: Desk) -> None:
    refusal = refused(desk, create("mistyped"))
    assert (refusal.code, TEAM_PROJECT in refusal.hint) == (Code.NOT_FOUND, True)
    assert desk.do(create(TEAM_PROJECT))["id"].startswith(TEAM_PROJECT)


def test_where_no_project_is_open_any_name_is_taken() -> None:
    assert Desk().found().do(create("any"))["id"].startswith("any-")
