"""What queries find: every field, what stands for nothing, closed issues, and that indexes change nothing."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code
from moot_protocol.issues.query import parse
from moot_protocol.requests.issues import AddComment, Close, Delete
from moot_protocol.requests.queries import Query
from moot_testkit.towns.engine import START_MS, Desk, ids_of
from moot_testkit.towns.planes import make_twins, two_planes
from mootd.engine.listing.queries import choices, newer_than, wants_ephemeral
from mootd.engine.views.record import decode_record

DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="module")
def desk() -> Desk:
    """A town whose issues differ in everything a query can ask for; nothing here writes to it."""
    desk = Desk().found()
    desk.create("mt-old", "An old bug", issue_type="bug", priority=0, description="Steps:\n 1. Look")
    desk.clock.advance(10 * DAY_MS)
    desk.create("mt-epic", "The epic", issue_type="epic", priority=1, actor="eve", notes="Ask Bob", spec_id="spec-7")
    desk.create(
        "mt-one", "Log in", parent="mt-epic", labels=("ui", "auth"), assignee="alice", owner="carol",
        estimated_minutes=30, due_at="2023-12-01T00:00:00Z", external_ref="gh-9", metadata={"team": "core", "n": 3},
    )  # fmt: skip
    desk.create("mt-two", "Log out", labels=("ui",), assignee="bob", design="Boxes", acceptance_criteria="It logs out")
    desk.link("mt-two", "mt-one")
    desk.create("mt-done", "Done before", assignee="alice", ephemeral=True, pinned=True)
    desk.do(Close(actor="alice", id="mt-done", reason="Fixed in 1.4"))
    desk.do(AddComment(actor="bob", id="mt-two", text="Seen on Linux"))
    desk.create("mt-gone", "Log in nowhere", labels=("ui",))
    desk.do(Delete(actor="alice", id="mt-gone"))
    desk.create("ot-1", "Elsewhere", project="ot")
    desk.clock.advance(3 * DAY_MS)
    desk.update("mt-one", status="in_progress", defer_until="2024-01-01T00:00:00Z")
    return desk


def found(desk: Desk, text: str, **parts: Any) -> set[str]:
    page = desk.ask(Query(text=text, **{"limit": 0} | parts))
    return {issue["id"].partition("-")[2] for issue in page.issues}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("status=in_progress", {"one"}),
        ("status!=open AND status!=closed", {"one"}),
        ("type=epic", {"epic"}),
        ("priority<=1", {"old", "epic"}),
        ("priority>P1 AND project=mt", {"one", "two"}),
        ("assignee=bob", {"two"}),
        ("assignee=none AND project=mt", {"old", "epic"}),
        ("assignee~LIC", {"one"}),
        ("owner=carol", {"one"}),
        ("creator=eve", {"epic"}),
        ("label=ui", {"one", "two"}),
        ("label=ui AND label=auth", {"one"}),
        ("label=none", {"old", "epic", "1"}),
        ("label=a*h", {"one"}),
        ("label!~u", {"old", "epic", "1"}),
        ("project=ot", {"1"}),
        ("parent=mt-epic", {"one"}),
        ("parent=none AND type=task", {"two", "1"}),
        ("spec=spec-*", {"epic"}),
        ("ref=gh-9", {"one"}),
        ("id=mt-o*", {"old", "one"}),
        ("id=mt-one OR id=mt-two", {"one", "two"}),
        ("title=LOG", {"one", "two"}),
        ("title!=log AND project=mt", {"old", "epic"}),
        ("description~'1. look'", {"old"}),
        ("description=none AND type=task", {"one", "two", "1"}),
        ("notes~bob", {"epic"}),
        ("design=boxes", {"two"}),
        ("acceptance~'logs out'", {"two"}),
        ("comment~linux", {"two"}),
        ("reason~1.4", {"done"}),
        ("closed>30d", {"done"}),
        ("closed=none AND type=bug", {"old"}),
        ("created<7d", {"old"}),
        ("created>=2023-11-20", {"epic", "one", "two", "1"}),
        ("updated>1d", {"one"}),
        ("started=today", {"one"}),
        ("due<+30d", {"one"}),
        ("due=2023-12-01", {"one"}),
        ("due!=none", {"one"}),
        ("defer>now", {"one"}),
        ("estimate>=30", {"one"}),
        ("estimate<30", set()),
        ("blocked=true", {"two"}),
        ("pinned=yes AND status=closed", {"done"}),
        ("ephemeral=true", set()),
        ("metadata.team=core", {"one"}),
        ("metadata.n=3", {"one"}),
        ("metadata.team=none AND label=ui", {"two"}),
        ("NOT (label=ui OR type=bug) AND project=mt", {"epic"}),
    ],
)
def test_a_query_finds_what_it_says(desk: Desk, text: str, ids: set[str]) -> None:
    assert found(desk, text) == ids


def test_closed_issues_are_found_only_when_asked_for(desk: Desk) -> None:
    assert "done" not in found(desk, "assignee=alice")
    assert found(desk, "assignee=alice", all=True) == {"one", "done"}
    assert found(desk, "assignee=alice AND status=closed") == {"done"}
    assert found(desk, "id=mt-done") == set()


def test_deleted_issues_are_never_found(desk: Desk) -> None:
    assert found(desk, "label=ui", all=True) == {"one", "two"}
    assert found(desk, "id=mt-gone", all=True) == set()


def test_ids_may_be_short_and_ones_that_mean_nothing_find_nothing(desk: Desk) -> None:
    assert found(desk, "id=epic OR parent=mt-epic") == {"epic", "one"}
    assert found(desk, "id=mt-none OR parent=mt-none") == set()


def test_a_query_can_be_narrowed_to_projects(desk: Desk) -> None:
    assert found(desk, "type=task", projects=("ot",)) == {"1"}
    assert found(desk, "id=ot-1", projects=("mt",)) == set()


def test_of_what_has_to_be_ephemeral_nothing_else_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk().found()
    for number in range(6):
        desk.create(f"mt-{number}", ephemeral=number in {2, 4}, priority=4 - number // 2)
    desk.do(Delete(actor="alice", id="mt-4"))
    read: list[bytes] = []

    def decoding(packed: bytes) -> Any:
        read.append(packed)
        return decode_record(packed)

    monkeypatch.setattr("mootd.engine.listing.lists.decode_record", decoding)
    assert found(desk, "ephemeral=true AND status=open") == {"2"}
    assert len(read) == 1
    assert found(desk, "ephemeral=true OR priority=4") == {"0", "1", "2"}


def test_what_must_be_ephemeral_is_told_from_what_may_be() -> None:
    assert all(map(wants_ephemeral, map(parse, ("ephemeral=true", "type=a AND ephemeral=true"))))
    others = ("ephemeral=false", "NOT ephemeral=true", "ephemeral=true OR type=a", "ephemeral!=true", "pinned=true")
    assert not any(map(wants_ephemeral, map(parse, others)))


def test_what_is_found_comes_by_priority_whatever_index_was_walked(desk: Desk) -> None:
    for text in ("project=mt", "project=mt AND created>1d OR project=mt", "updated>30d AND project=mt"):
        ids = ids_of(desk.ask(Query(text=text, limit=0)).issues)
        assert ids[:2] == ["mt-old", "mt-epic"], text
    page = desk.ask(Query(text="updated>30d", limit=2))
    assert (ids_of(page.issues), page.truncated) == (["mt-old", "mt-epic"], True)


def test_other_orders_can_be_asked_for(desk: Desk) -> None:
    ids = ids_of(desk.ask(Query(text="project=mt", sort="title", limit=0)).issues)
    assert ids == ["mt-old", "mt-one", "mt-two", "mt-epic"]
    assert ids_of(desk.ask(Query(text="project=mt", sort="title", reverse=True, limit=0)).issues) == ids[::-1]


def test_a_mistake_in_a_query_is_one_of_usage(desk: Desk) -> None:
    assert desk.refusal(Query(text="status=")) is Code.USAGE


def test_an_id_that_two_planes_have_finds_both() -> None:
    desk = two_planes()
    make_twins(desk)
    assert ids_of(desk.ask(Query(text="id=mt-same22", limit=0)).issues) == ["mt-same22", "mt-same22"]


# -- Indexes -----------------------------------------------------------------------------------------------------
def test_a_condition_narrows_only_where_every_way_to_hold_needs_it() -> None:
    assert choices(parse("label=a AND type=b"), "label") == frozenset({"a"})
    assert choices(parse("status=a OR status=b"), "status") == frozenset({"a", "b"})
    assert choices(parse("status=a OR type=b"), "status") is None
    assert choices(parse("NOT status=a"), "status") is None
    assert choices(parse("status=a*"), "status") is None
    assert choices(parse("assignee=none"), "assignee") is None


def test_the_latest_of_several_times_narrows_most() -> None:
    assert newer_than(parse("updated>7d AND updated>=2d AND type=a"), START_MS) == START_MS - 2 * DAY_MS
    assert newer_than(parse("updated>7d OR type=a"), START_MS) is None
    assert newer_than(parse("updated<7d"), START_MS) is None


PARTS = ["label=ui", "assignee=alice", "status=closed", "updated>1d", "id=mt-one", "type=bug", "NOT label=auth"]
JOINED = st.lists(st.sampled_from(list(itertools.product(PARTS, ("AND", "OR")))), min_size=1, max_size=3)


@given(JOINED)
def test_an_index_changes_nothing_of_what_is_found(desk: Desk, parts: list[tuple[str, str]]) -> None:
    text = " ".join(f"{part} {word}" for part, word in parts) + " type=epic"
    unnarrowed = f"({text}) OR (priority=0 AND priority=4)"  # no index serves it, and it says the same
    assert found(desk, text, all=True) == found(desk, unnarrowed, all=True)
