"""Lists of a family's issues, or of an assignee's or a label's: as those of all, of whose others nothing is read."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Blocked, Close, Count, Delete, ListIssues, Ready
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import SetSetting
from moot_testkit.towns.engine import START_MS, Desk, ids_of
from moot_testkit.towns.planes import create_on, two_planes
from mootd.engine import patience
from mootd.engine.listing import lists
from mootd.engine.listing.candidates import Candidate
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader, Table

HOUR_MS = 3_600_000
PARENT = "parent-child"


class Counted:
    """A transaction that counts the records that are read."""

    def __init__(self, reader: Reader) -> None:
        self.scan, self.count, self._get = reader.scan, reader.count, reader.get
        self.read = 0

    def get(self, table: Table, key: bytes) -> bytes | None:
        self.read += table in {Table.RECORDS_0, Table.RECORDS_1}
        return self._get(table, key)


def records_read(desk: Desk, request: Request[Any]) -> int:
    """How many records are read for a list."""
    with desk.replica.read() as reader:
        counted = Counted(reader)
        READS[type(request)](Snapshot(desk.replica, counted, desk.clock.now_ms()), request)
    return counted.read


# -- What is read ------------------------------------------------------------------------------------------------
@pytest.fixture
def crowd() -> Desk:
    """A hundred issues, among them an epic with two steps; one of them, and one apart, are eve's and labelled."""
    desk = Desk().found()
    desk.create("mt-epic")
    mine = {"parent": "mt-epic", "assignee": "eve", "labels": ("odd",)}
    for name in ("mt-step", "mt-other"):
        desk.create(name, **(mine if name == "mt-step" else {"parent": "mt-epic"}))
    desk.create("mt-apart", assignee="eve", labels=("odd",))
    for number in range(96):
        desk.create(f"mt-{number}")
    for name in ("mt-step", "mt-apart", "mt-5"):
        desk.link(name, "mt-6")
    return desk


@pytest.mark.parametrize(
    "wanted", [Filter(parent="mt-epic"), Filter(assignee="eve"), Filter(labels=("odd",))], ids=["parent", "eve", "odd"]
)
@pytest.mark.parametrize(
    "asked",
    [
        lambda wanted: ListIssues(filter=wanted, limit=0),
        lambda wanted: ListIssues(filter=wanted, limit=0, all=True, sort="created", reverse=True),
        lambda wanted: ListIssues(filter=wanted, limit=50, all=True, sort="updated"),
        lambda wanted: Ready(filter=wanted, limit=0),
        lambda wanted: Ready(filter=wanted, limit=0, sort="hybrid", include_deferred=True),
        lambda wanted: Count(filter=wanted),
    ],
    ids=["list", "sorted", "updated", "ready", "hybrid", "count"],
)
def test_a_list_of_a_few_reads_their_records_and_no_others(crowd: Desk, wanted: Filter, asked: Any) -> None:
    assert records_read(crowd, asked(wanted)) <= 6


def test_of_a_few_that_are_blocked_only_those_are_read(crowd: Desk) -> None:
    for wanted in (Filter(parent="mt-epic"), Filter(assignee="eve"), Filter(labels=("odd",))):
        assert "mt-step" in ids_of(crowd.ask(Blocked(filter=wanted, limit=0)).issues)
        assert records_read(crowd, Blocked(filter=wanted, limit=0)) <= 6


def test_of_a_family_only_what_a_short_list_shows_is_read() -> None:
    desk = Desk().found()
    desk.create("mt-epic")
    for number in range(50):
        desk.create(f"mt-{number}", parent="mt-epic")
    assert records_read(desk, ListIssues(filter=Filter(parent="mt-epic"), limit=3)) <= 10
    assert records_read(desk, Ready(filter=Filter(parent="mt-epic"), limit=3)) <= 10


def test_a_short_list_holds_no_more_issues_than_it_shows(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        desk.create(f"mt-{number}", f"title {number % 7}")
    held, most = [0], [0]

    class Held(Candidate):
        __slots__ = ()

        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            held[0] += 1
            most[0] = max(most[0], held[0])

        def __del__(self) -> None:
            held[0] -= 1

    monkeypatch.setattr(lists, "Candidate", Held)
    for reverse in (False, True):
        page = desk.ask(ListIssues(sort="title", limit=2, reverse=reverse))
        assert (page.total, page.truncated, len(page.issues)) == (20, True, 2)
    assert most[0] < 10


@pytest.mark.parametrize("last", [1, 6, 11], ids=["while looking", "while writing", "while naming"])
def test_a_list_that_nobody_waits_for_is_left_where_it_is(
    desk: Desk, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BETWEEN", 4)
    for number in range(20):
        desk.create(f"mt-{number}")
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) >= last:
            raise RefusedError("nobody waits", code=Code.CANCELLED)

    with desk.replica.read() as reader:
        replica, issues = desk.replica, desk.issues(reader)
        made = lists.Lists(issues, issues.names, replica.projects, START_MS, ledger=replica.ledger.number, check=check)
        with pytest.raises(RefusedError):
            made.issues(ListIssues(limit=0))
    assert len(asked) == last


# -- What is shown -----------------------------------------------------------------------------------------------
def fields_of(random: Random) -> dict[str, Any]:
    """What an issue may say of itself."""
    fields: dict[str, Any] = {
        "priority": random.randrange(3),
        "issue_type": random.choice(("task", "bug", "gate")),
        "ephemeral": random.random() < 0.2,
        "pinned": random.random() < 0.1,
        "labels": tuple(label for label in ("red", "odd") if random.random() < 0.4),
        "assignee": random.choice(("eve", "ann", "", "")),
        "status": random.choice(("open", "open", "deferred")),
    }
    if random.random() < 0.3:
        fields["defer_until"] = random.choice(("2023-11-14T21:00:00Z", "2023-11-15T21:00:00Z"))
    return fields


def change(desk: Desk, random: Random, name: str) -> None:
    """Do something to an issue, or nothing."""
    match random.randrange(6):
        case 0:
            desk.do(Close(actor="alice", id=name, force=True))
        case 1 if not desk.show(name).get("assignee"):
            desk.update(name, actor="eve", claim=True, ttl_ms=random.choice((0, HOUR_MS, 9 * HOUR_MS)))
        case 2 if name.startswith("mt-"):
            desk.update(name, status=random.choice(("doing", "waiting")))
        case 3 if random.random() < 0.5:
            desk.do(Delete(actor="alice", id=name))


def crowded(random: Random) -> Desk:
    """Issues of every kind, in families that share some of them, in two projects."""
    desk = Desk().found()
    desk.create("mt-first")
    desk.do(SetSetting(actor="alice", project="mt", key="status.custom", value="doing:active,waiting:frozen"))
    names = [f"{random.choice(('mt', 'other'))}-{number}" for number in range(40)]
    for number, name in enumerate(names):
        desk.create(name, project=name.partition("-")[0], **fields_of(random))
        desk.clock.advance(random.randrange(2))
        for edge_type in (PARENT, PARENT, "blocks") if number else ():
            with suppress(RefusedError):  # what would be a deadlock
                desk.link(name, names[random.randrange(number)], edge_type)
    for name in names:
        change(desk, random, name)
    desk.clock.advance(2 * HOUR_MS)
    return desk


def below(desk: Desk, parent: str) -> set[str]:
    """The ids of all that is below a parent."""
    every = desk.ask(ListIssues(limit=0, all=True)).issues
    edges = {
        (issue["id"], edge["depends_on_id"])
        for issue in every
        for edge in issue.get("dependencies", ())
        if edge["type"] == PARENT
    }
    found: set[str] = set()
    queue = [parent]
    while queue:
        at = queue.pop()
        new = {child for child, above in edges if above == at} - found
        found |= new
        queue += new
    return found


def whole_lists() -> Iterator[Any]:
    """Requests for lists of everything."""
    for sort in ("priority", "created", "updated", "title"):
        for closed in (False, True):
            yield ListIssues(limit=0, sort=sort, all=closed)
    yield ListIssues(limit=0, filter=Filter(statuses=("closed", "doing")))
    for sort in ("priority", "oldest", "hybrid"):
        for flag in (False, True):
            yield Ready(limit=0, sort=sort, include_deferred=flag, include_ephemeral=flag)
    yield Ready(limit=0, filter=Filter(types=("gate", "bug")), include_deferred=True)
    yield Ready(limit=0, filter=Filter(projects=("mt",)))
    yield Blocked(limit=0)


def narrowed(request: Any, **parts: Any) -> Any:
    """The same request, of a few."""
    wanted = {name: getattr(request.filter, name) for name in request.filter.__struct_fields__}
    given = {name: getattr(request, name) for name in request.__struct_fields__}
    return type(request)(**given | {"filter": Filter(**wanted | parts)})


@pytest.mark.parametrize("seed", range(6))
def test_a_list_of_a_few_is_what_the_list_of_all_has_of_them(seed: int) -> None:
    random = Random(seed)
    desk = crowded(random)
    every = {issue["id"]: issue for issue in desk.ask(ListIssues(limit=0, all=True)).issues}
    parents = random.sample(sorted(every), 8)
    families = {parent: below(desk, parent) for parent in parents}
    assert any(len(family) > 3 for family in families.values())
    for request in whole_lists():
        whole = ids_of(desk.ask(request).issues)
        for parent in parents:
            page = desk.ask(narrowed(request, parent=parent))
            assert ids_of(page.issues) == [name for name in whole if name in families[parent]], request
        for holder in ("eve", "ann"):
            page = desk.ask(narrowed(request, assignee=holder))
            assert ids_of(page.issues) == [name for name in whole if every[name].get("assignee") == holder], request
        page = desk.ask(narrowed(request, labels=("odd", "red")))
        assert ids_of(page.issues) == [n for n in whole if {"odd", "red"} <= set(every[n].get("labels", ()))], request


def test_a_list_of_a_few_is_the_same_on_a_clock_set_back(desk: Desk) -> None:
    desk.create("mt-epic")
    desk.create("mt-later", parent="mt-epic", assignee="eve", defer_until="2023-11-14T23:00:00Z")
    desk.clock.advance(HOUR_MS)
    desk.create("mt-step", parent="mt-epic", assignee="eve")
    assert set(desk.ready(filter=Filter(parent="mt-epic"))) == {"mt-later", "mt-step"}
    desk.clock.set_wall(START_MS)
    assert desk.ready(filter=Filter(parent="mt-epic")) == ["mt-step"]
    assert desk.ready(filter=Filter(assignee="eve")) == ["mt-step"]


def test_a_claim_that_has_ended_is_to_be_had_again_in_a_list_of_a_few_too(desk: Desk) -> None:
    desk.create("mt-epic")
    for name, ttl_ms in (("mt-ended", 60_000), ("mt-held", 9 * HOUR_MS)):
        desk.create(name, parent="mt-epic")
        desk.update(name, actor="eve", claim=True, ttl_ms=ttl_ms)
    desk.clock.advance(HOUR_MS)
    for wanted in (Filter(parent="mt-epic"), Filter(assignee="eve")):
        assert desk.ready(filter=wanted) == ["mt-ended"]


def test_what_is_deleted_is_below_no_parent_and_still_an_assignees(desk: Desk) -> None:
    desk.create("mt-epic")
    desk.create("mt-step", parent="mt-epic", assignee="eve")
    desk.do(Delete(actor="alice", id="mt-step"))
    desk.create("mt-other", parent="mt-epic", assignee="eve")
    assert ids_of(desk.ask(ListIssues(filter=Filter(parent="mt-epic", deleted=True), limit=0)).issues) == []
    assert ids_of(desk.ask(ListIssues(filter=Filter(assignee="eve", deleted=True), limit=0)).issues) == ["mt-step"]
    for wanted in (Filter(deleted=True), Filter(assignee="eve", deleted=True), Filter(parent="mt-epic", deleted=True)):
        assert "mt-other" in desk.ready(filter=wanted), "ready work is never deleted"


def test_a_family_is_looked_for_on_the_plane_that_is_named() -> None:
    desk = two_planes()
    create_on(desk, "ledger", "mt-epic")
    create_on(desk, "ledger", "mt-step", parent="mt-epic")
    for plane, found in (("ledger", ["mt-step"]), ("", ["mt-step"])):
        assert ids_of(desk.ask(ListIssues(filter=Filter(parent="mt-epic", plane=plane), limit=0)).issues) == found
        assert ids_of(desk.ask(Ready(filter=Filter(parent="mt-epic", plane=plane), limit=0)).issues) == found
