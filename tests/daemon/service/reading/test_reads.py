"""Requests that only read: what they say of issues, of the past, and of the log in its order of arrival."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.event import Draft, Write
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.exchange import CheckRemote, Sync
from moot_protocol.requests.issues import (
    Close,
    Conflicts,
    Create,
    Cycles,
    Edges,
    History,
    InitTown,
    IssueFields,
    ResolveIds,
    Script,
    Show,
    Update,
    WorkspaceInfo,
)
from moot_protocol.requests.machine import Backup, CheckBackup, Events, Prove, ProveEvent, Rebuild
from moot_protocol.requests.methods import REQUESTS
from moot_protocol.requests.mirrors import MIRROR_REQUESTS
from moot_protocol.trust.proof import verify_proof
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.planes import TEAM_PROJECT, create_on, make_twins, two_planes
from moot_testkit.towns.town import PROJECT, START_MS, Api, make_api, make_town
from mootd.service.machine.requests import MACHINE
from mootd.service.reading.exchange import EXCHANGE_READS
from mootd.service.reading.reads import EVENTS_PAGE, READS
from mootd.service.writing.exchange import EXCHANGE_WRITES
from mootd.service.writing.remotes import REMOTE_WRITES


@pytest.fixture
def api() -> Api:
    return make_api()


def create(api: Api, name: str, title: str = "") -> None:
    api.call(Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=title or name)))


def test_every_request_has_exactly_one_place_where_it_is_answered() -> None:
    reading: set[Any] = set(READS) | set(MACHINE) | set(EXCHANGE_READS) | {Sync, CheckRemote, *MIRROR_REQUESTS}
    reading |= {Backup, CheckBackup}
    writing: set[Any] = {request for request in REQUESTS.values() if issubclass(request, Mutation)}
    writing |= {InitTown, Rebuild}
    assert not reading & writing
    assert not set(READS) & set(MACHINE)
    assert not set(EXCHANGE_READS) & (set(READS) | set(MACHINE))
    assert {*REMOTE_WRITES, *EXCHANGE_WRITES} <= writing
    assert reading | writing == set(REQUESTS.values())


# -- Events ------------------------------------------------------------------------------------------------------
def test_going_on_from_next_misses_nothing_and_repeats_nothing(api: Api) -> None:
    for number in range(5):
        create(api, f"demo-{number}")
    whole = api.call(Events())
    pages, since = [], 0
    while page := api.call(Events(since=since, limit=2))["events"]:
        pages += page
        since = page[-1]["arrival"]
    assert pages == whole["events"]
    arrivals = [event["arrival"] for event in pages]
    assert arrivals == sorted(set(arrivals))
    assert (whole["first"], whole["next"]) == (arrivals[0], arrivals[-1])


def test_who_asks_for_nothing_of_the_past_gets_the_place_where_news_begin(api: Api) -> None:
    create(api, "demo-old")
    now = api.call(Events(since=None))
    assert now["events"] == []
    create(api, "demo-new")
    assert [event["id"] for event in api.call(Events(since=now["next"]))["events"]] == ["demo-new"]


def test_events_of_one_kind_leave_out_others_and_still_come_to_the_end(api: Api) -> None:
    create(api, "demo-one")
    whole = api.call(Events())
    issues = api.call(Events(kind="issue"))
    assert {event["kind"] for event in issues["events"]} == {"issue"}
    assert len(issues["events"]) < len(whole["events"])
    none = api.call(Events(kind="no such kind"))
    assert (none["events"], none["next"]) == ([], whole["next"])


@pytest.mark.parametrize("since", [-1, 10**6, 2**63, 2**80])
def test_a_number_that_no_event_has_is_no_failure(api: Api, since: int) -> None:
    answer = api.call(Events(since=since))
    assert bool(answer["events"]) is (since < 0)


def test_a_page_of_events_has_a_largest_size(api: Api) -> None:
    lines = [{"method": "create", "params": {"project": PROJECT, "fields": {"title": str(n)}}} for n in range(600)]
    for _ in range(2):
        api.call(Script(actor="ada", steps=tuple(lines)))
    for limit in (0, 10**9):
        assert len(api.call(Events(limit=limit))["events"]) == EVENTS_PAGE


# -- Issues ------------------------------------------------------------------------------------------------------
def test_an_issue_is_shown_as_it_was_and_is_not_found_before_it_was(api: Api) -> None:
    create(api, "demo-one", "Before")
    api.clock.advance(1000)
    api.call(Update(actor="ada", id="demo-one", fields=IssueFields(title="After")))
    assert api.call(Show(ids=("demo-one",)))[0]["title"] == "After"
    assert api.call(Show(ids=("demo-one",), as_of=START_MS + 500))[0]["title"] == "Before"
    assert api.refusal(Show(ids=("demo-one",), as_of=START_MS - 1)) is Code.NOT_FOUND


def test_issues_are_shown_in_the_order_asked_for_or_not_at_all(api: Api) -> None:
    create(api, "demo-one")
    create(api, "demo-two")
    assert [issue["id"] for issue in api.call(Show(ids=("demo-two", "demo-one")))] == ["demo-two", "demo-one"]
    assert api.refusal(Show(ids=("demo-one", "demo-nosuch"))) is Code.NOT_FOUND


def test_a_start_of_an_id_stands_for_the_whole_one_while_it_is_the_only_one(api: Api) -> None:
    create(api, "demo-abcdefg")
    assert api.call(ResolveIds(ids=("abcde",))) == ["demo-abcdefg"]
    create(api, "demo-abcdexx")
    assert api.refusal(ResolveIds(ids=("abcde",))) is Code.AMBIGUOUS


def test_conflicts_of_one_issue_are_those_of_all_that_are_its() -> None:
    one, two = members = make_town(2)
    desks = [Api(member) for member in members]
    for name in ("demo-a", "demo-b"):
        create(desks[0], name)
    two.take(*one.batches())
    one.take(*two.batches())
    for desk, title in zip(desks, ("Left", "Right"), strict=True):
        desk.call(Update(actor=title, id="demo-a", fields=IssueFields(title=title)))
        desk.call(Update(actor=title, id="demo-b", fields=IssueFields(notes=title)))
    one.take(*two.batches())
    found = desks[0].call(Conflicts())
    assert {(each["id"], each["field"]) for each in found} == {("demo-a", "title"), ("demo-b", "notes")}
    assert desks[0].call(Conflicts(id="demo-a")) == [each for each in found if each["id"] == "demo-a"]
    assert {value["value"] for value in found[0]["values"]} == {"Left", "Right"}


def test_a_proof_is_made_of_each_event_or_of_the_one_asked_for(api: Api) -> None:
    create(api, "demo-one")
    api.call(Close(actor="ada", id="demo-one"))
    whole = api.call(Prove(id="demo-one"))
    assert len(whole) == 2
    number = whole[0]["what"]["n"]
    assert api.call(Prove(id="demo-one", n=number)) == whole[:1]
    author = api.call(History(id="demo-one"))[0]["author"]
    assert api.call(Prove(id="demo-one", n=number, author=author[:12])) == whole[:1]
    assert api.refusal(Prove(id="demo-one", n=number, author=f"x{author}")) is Code.NOT_FOUND
    assert api.refusal(Prove(id="demo-one", n=10**6)) is Code.NOT_FOUND


def test_a_number_that_no_event_of_the_issue_has_is_answered_with_where_numbers_are_shown(api: Api) -> None:
    create(api, "demo-one")
    with pytest.raises(RefusedError, match="no event 7613 of demo-one") as caught:
        api.call(Prove(id="demo-one", n=7613))
    assert "`moot history demo-one`" in caught.value.hint


def test_every_event_that_is_shown_can_be_proven_whatever_it_is_about(api: Api) -> None:
    create(api, "demo-one")
    shown = api.call(Events(since=0))["events"]
    assert {"genesis", "certificate", "project", "issue"} <= {event["kind"] for event in shown}
    for event in shown:
        made = [verify_proof(each["proof"]) for each in api.call(ProveEvent(n=event["n"], author=event["author"]))]
        assert (event["kind"], event["entity"], event["n"]) in {(each.kind, each.entity, each.n) for each in made}


def test_an_event_is_proven_on_every_plane_where_its_machine_has_one_of_that_number(desk: Desk) -> None:
    planes = {verify_proof(each["proof"]).plane_name for each in desk.ask(ProveEvent(n=1, author=""))}
    assert {"ledger", "team"} <= planes
    assert {verify_proof(each["proof"]).replica for each in desk.ask(ProveEvent(n=1, author=""))} == {desk.replica.id}


@pytest.mark.parametrize(
    "asked", [ProveEvent(n=10**6, author=""), ProveEvent(n=1, author="nobody's"), ProveEvent(n=0, author="")]
)
def test_an_event_that_is_not_here_is_answered_with_where_events_are_shown(api: Api, asked: ProveEvent) -> None:
    with pytest.raises(RefusedError, match=f"no event {asked.n} of") as caught:
        api.call(asked)
    assert (caught.value.code, "moot events" in caught.value.hint) == (Code.NOT_FOUND, True)


def test_events_say_whether_this_machine_wrote_them_and_numbered_them_so() -> None:
    one, two = members = make_town(2)
    api, other = (Api(member) for member in members)
    create(api, "demo-ours")
    two.take(*one.batches())
    create(other, "demo-theirs")
    one.take(*two.batches())
    for name, is_own in (("demo-ours", True), ("demo-theirs", False)):
        (event,) = api.call(History(id=name))
        assert event["own"] is is_own
        told = [each for each in api.call(Events(kind="issue"))["events"] if each["entity"] == name]
        assert [(each["n"], each["own"]) for each in told] == [(event["n"], is_own)]


def test_a_workspace_nobody_opened_is_not_known(api: Api) -> None:
    assert api.call(WorkspaceInfo(workspace="nosuch")) is None


# -- Several planes ----------------------------------------------------------------------------------------------
@pytest.fixture
def desk() -> Desk:
    """An issue with events on each of two planes."""
    made = two_planes()
    for name, project in (("mt-aaaa22", "mt"), ("tm-bbbb22", TEAM_PROJECT)):
        create_on(made, "", name, project)
        made.clock.advance(1000)
        made.update(name, title="Changed", actor="bob")
    return made


@pytest.mark.parametrize("name", ["mt-aaaa22", "tm-bbbb22"])
def test_issues_of_every_plane_are_shown_as_they_are_and_were(desk: Desk, name: str) -> None:
    assert desk.ask(ResolveIds(ids=(name[3:],))) == [name]
    assert desk.show(name)["title"] == "Changed"
    created = min(event["at"] for event in desk.ask(History(id=name)))
    assert desk.show(name, as_of=created)["title"] == f"Title of {name}"


def test_history_and_events_tell_of_every_plane_what_was_removed_too(desk: Desk) -> None:
    desk.update("tm-bbbb22", add_labels=("red",))
    desk.update("tm-bbbb22", remove_labels=("red",))
    newest, *_ = desk.ask(History(id="tm-bbbb22"))
    assert newest["changes"] == [{"field": "labels", "removed": "red"}]
    events = desk.ask(Events(kind="issue"))["events"]
    assert {event["entity"] for event in events} == {"mt-aaaa22", "tm-bbbb22"}
    assert events[-1]["changes"] == newest["changes"]


@pytest.mark.parametrize(("name", "plane"), [("mt-aaaa22", "ledger"), ("tm-bbbb22", "team")])
def test_a_proof_is_of_the_plane_that_holds_the_issue(desk: Desk, name: str, plane: str) -> None:
    for shown in desk.ask(Prove(id=name)):
        proved = verify_proof(shown["proof"])
        assert (proved.plane, proved.entity) == (desk.replica.plane_named(plane).id, name)
        assert shown["what"]["entity"] == name


def test_conflicts_of_all_planes_are_listed(desk: Desk) -> None:
    for plane, name in (("ledger", "mt-aaaa22"), ("team", "tm-bbbb22")):
        with desk.replica.transaction() as unit:
            number = desk.replica.plane_named(plane).number
            unit.append(number, Draft("issue", name, "eve", (Write("title", "Mine"),)))
    assert {found["id"] for found in desk.ask(Conflicts())} == {"mt-aaaa22", "tm-bbbb22"}
    assert [found["id"] for found in desk.ask(Conflicts(id="tm-bbbb22"))] == ["tm-bbbb22"]


def test_cycles_of_all_planes_are_listed(desk: Desk) -> None:
    for plane, project in (("ledger", "mt"), ("", TEAM_PROJECT)):
        for name in (f"{project}-x", f"{project}-y"):
            create_on(desk, plane, name, project)
        desk.link(f"{project}-x", f"{project}-y")
        desk.link(f"{project}-y", f"{project}-x", check_cycles=False)
    assert {found["issue_id"] for found in desk.ask(Cycles())} == {"mt-y", "tm-y"}


def test_a_dependency_is_shown_with_the_issue_of_its_own_plane() -> None:
    desk = two_planes()
    make_twins(desk)
    create_on(desk, "team", "mt-on-team")
    desk.link("mt-on-team", "team:mt-same22")
    assert [edge["title"] for edge in desk.ask(Edges(id="mt-on-team"))] == ["Two"]
    assert [edge["id"] for edge in desk.ask(Edges(id="team:mt-same22", direction="up"))] == ["mt-on-team"]
    assert desk.ask(Edges(id="ledger:mt-same22", direction="up")) == []
