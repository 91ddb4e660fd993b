"""Which issues each list holds, and in which order."""

import json
from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Blocked,
    Children,
    Close,
    Count,
    Delete,
    Edge,
    Labels,
    ListIssues,
    Ready,
    Stats,
    Undelete,
    Update,
)
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.memories import SetSetting
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.engine import START_MS, Desk, exchange, ids_of, imported, town_of
from moot_testkit.towns.planes import clash, create_on, make_twins, open_project, two_planes
from mootd.engine import rebuild
from mootd.engine.stored import layout

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def listed(desk: Desk, **parts: Any) -> list[str]:
    return ids_of(desk.ask(ListIssues(**{"limit": 0} | parts)).issues)


def close(desk: Desk, name: str, *, force: bool = False) -> None:
    desk.do(Close(actor="alice", id=name, force=force))


def time_text(ms: int) -> str:
    """A time within the first day after START_MS, which is 22:13:20, as people write it."""
    days, seconds = divmod((22 * 60 + 13) * 60 + 20 + (ms - START_MS) // 1000, 86400)
    return f"2023-11-{14 + days}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


# -- list --------------------------------------------------------------------------------------------------------
def test_the_most_urgent_come_first_and_the_newest_of_equal_ones(desk: Desk) -> None:
    for name, priority in (("mt-a", 2), ("mt-b", 0), ("mt-c", 2), ("mt-d", 4), ("mt-e", 0)):
        desk.create(name, priority=priority)
        desk.clock.advance(1)
    assert listed(desk) == ["mt-e", "mt-b", "mt-c", "mt-a", "mt-d"]
    assert listed(desk, reverse=True) == ["mt-d", "mt-a", "mt-c", "mt-b", "mt-e"]


def test_equal_issues_stand_in_one_order_wherever_they_came_first() -> None:
    desks = town_of("ann", "bob")
    names = [f"mt-{number}" for number in range(8)]
    for desk, mine in zip(desks, (names[::2], names[1::2]), strict=True):
        for name in mine:
            desk.create(name, labels=("red",), assignee="ann")
    exchange(*desks)
    for name in names[1:]:
        desks[0].do(AddEdge(actor="ann", id=name, edge=Edge("mt-0", "parent-child")))
    exchange(*desks)
    one, other = (
        [
            listed(desk),
            listed(desk, filter=Filter(labels=("red",))),
            listed(desk, filter=Filter(assignee="ann")),
            ids_of(desk.ask(Ready(limit=0)).issues),
            ids_of(desk.ask(Children(id="mt-0")).issues),
        ]
        for desk in desks
    )
    assert one == other
    assert one[0] != names, "the order is no one's order of making"


def test_projects_are_merged_into_one_order(desk: Desk) -> None:
    for name, priority in (("mt-a", 1), ("other-b", 0), ("mt-c", 3), ("other-d", 2)):
        desk.create(name, priority=priority, project=name.partition("-")[0])
    assert listed(desk) == ["other-b", "mt-a", "other-d", "mt-c"]
    assert desk.ready() == ["other-b", "mt-a", "other-d", "mt-c"]


@pytest.fixture
def three(desk: Desk) -> Desk:
    """Three issues that every sort puts into an order of its own, or as their ids stand."""
    desk.create("mt-1", "banana", issue_type="task", assignee="carol", status="open", priority=1)
    desk.clock.advance(1000)
    desk.create("mt-2", "Cherry", issue_type="bug", assignee="bob", status="in_progress", priority=3)
    desk.clock.advance(1000)
    desk.create("mt-3", "apple", issue_type="epic", assignee="alice", status="deferred", priority=2)
    desk.clock.advance(1000)
    close(desk, "mt-2")
    desk.clock.advance(1000)
    close(desk, "mt-1")
    return desk


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("priority", "1 3 2"),
        ("created", "3 2 1"),
        ("oldest", "1 2 3"),
        ("updated", "1 2 3"),
        ("closed", "1 2 3"),
        ("status", "1 2 3"),
        ("id", "1 2 3"),
        ("title", "3 1 2"),
        ("type", "2 3 1"),
        ("assignee", "3 2 1"),
    ],
)
def test_each_sort_has_its_order_whatever_the_limit_and_reverse_turns_it_round(
    three: Desk, sort: str, order: str
) -> None:
    names = [f"mt-{each}" for each in order.split()]
    assert listed(three, sort=sort, all=True) == names
    assert listed(three, sort=sort, all=True, limit=2) == names[:2]
    assert listed(three, sort=sort, all=True, reverse=True) == names[::-1]
    assert listed(three, sort=sort, all=True, reverse=True, limit=1) == names[:1:-1]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("created", "2 3 1"), ("oldest", "1 3 2"), ("updated", "3 1 2"), ("closed", "1 2 3"), ("id", "1 2 3")],
)
def test_times_of_files_are_compared_below_the_millisecond(desk: Desk, sort: str, order: str) -> None:
    second = "2026-01-31T10:00:00"
    lines = [("1", "1", "2", "9"), ("2", "100009", "1", "8"), ("3", "100005", "21", "70")]
    for name, *digits in lines:
        times = zip(("created_at", "updated_at", "closed_at"), digits, strict=True)
        imported(desk, {"id": f"mt-{name}", "title": name, "status": "closed"} | {
            key: f"{second}.123{part}Z" for key, part in times
        })  # fmt: skip
    names = [f"mt-{each}" for each in order.split()]
    assert listed(desk, sort=sort, all=True) == names
    assert listed(desk, sort=sort, all=True, limit=2) == names[:2]
    assert listed(desk, sort=sort, all=True, reverse=True) == names[::-1]


def test_an_unknown_sort_is_refused(desk: Desk) -> None:
    assert desk.refusal(ListIssues(sort="colour")) is Code.INVALID
    assert desk.refusal(Ready(sort="title")) is Code.INVALID


@pytest.mark.parametrize("sort", ["priority", "title"])
@pytest.mark.parametrize(("limit", "shown"), [(0, 3), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_a_page_says_whether_more_match(desk: Desk, sort: str, limit: int, shown: int) -> None:
    for name in ("mt-a", "mt-b", "mt-c"):
        desk.create(name)
    page = desk.ask(ListIssues(sort=sort, limit=limit))
    assert len(page.issues) == len(page.short) == shown
    assert page.truncated is (shown < 3)
    assert page.total == (3 if shown == 3 or sort == "title" else None)


def test_closed_issues_are_listed_when_asked_for(desk: Desk) -> None:
    desk.create("mt-open")
    desk.clock.advance(1)
    desk.create("mt-closed", labels=("red",), assignee="bob")
    close(desk, "mt-closed")
    assert listed(desk) == ["mt-open"]
    for wanted in (Filter(labels=("red",)), Filter(assignee="bob"), Filter(ids=("mt-closed",))):
        assert listed(desk, filter=wanted) == []
        assert listed(desk, filter=wanted, all=True) == ["mt-closed"]
    assert sorted(listed(desk, all=True)) == ["mt-closed", "mt-open"]
    assert listed(desk, filter=Filter(statuses=("closed",))) == ["mt-closed"]
    assert listed(desk, filter=Filter(closed_after=START_MS - 1)) == ["mt-closed"]


def test_deleted_issues_are_listed_alone_and_only_when_asked_for(desk: Desk) -> None:
    desk.create("mt-here")
    desk.create("mt-gone")
    desk.do(Delete(actor="alice", id="mt-gone"))
    for parts in ({}, {"all": True}):
        assert listed(desk, **parts) == ["mt-here"]
    assert desk.ready() == ["mt-here"]
    assert listed(desk, filter=Filter(deleted=True)) == ["mt-gone"]
    assert listed(desk, filter=Filter(ids=("mt-gone", "mt-here"), deleted=True)) == ["mt-gone"]
    assert listed(desk, filter=Filter(ids=("mt-gone", "mt-here"))) == ["mt-here"]
    desk.do(Undelete(actor="alice", id="mt-gone"))
    assert listed(desk, filter=Filter(deleted=True)) == []


def test_texts_come_only_when_asked_for(desk: Desk) -> None:
    desk.create("mt-a", description="Long")
    for request in (ListIssues, Ready):
        with_texts: Page = desk.ask(request(texts=True))
        without: Page = desk.ask(request())
        assert with_texts.issues[0]["description"] == "Long"
        assert "description" not in without.issues[0]


def test_blocked_issues_and_children_come_with_texts_counts_and_makers_when_asked_for(desk: Desk) -> None:
    desk.create("mt-top", issue_type="epic")
    desk.create("mt-first")
    desk.create("mt-waits", description="Long", parent="mt-top")
    desk.link("mt-waits", "mt-first")
    for with_texts, without in (
        (desk.ask(Blocked(texts=True)), desk.ask(Blocked())),
        (desk.ask(Children(id="mt-top", texts=True)), desk.ask(Children(id="mt-top"))),
    ):
        (whole,), (short,) = with_texts.issues, without.issues
        assert (whole["description"], whole["dependency_count"], whole["comment_count"]) == ("Long", 2, 0)
        assert {edge["created_by"] for edge in whole["dependencies"]} == {"alice"}
        assert not {"description", "dependency_count"} & set(short)
    assert desk.ask(Blocked(texts=True)).issues[0]["blocked_by"] == ["mt-first"]


def test_whole_documents_count_what_is_around_them(desk: Desk) -> None:
    for name in ("mt-a", "mt-b", "mt-c"):
        desk.create(name)
    desk.link("mt-b", "mt-a")
    desk.link("mt-c", "mt-a", "related")
    desk.link("mt-c", "external:x:y")
    desk.do(AddComment(actor="alice", id="mt-a", text="seen"))
    page: Page = desk.ask(ListIssues(texts=True, sort="id"))
    names = ("dependency_count", "dependent_count", "comment_count")
    assert [tuple(shown[name] for name in names) for shown in page.issues] == [(0, 2, 1), (1, 0, 0), (2, 0, 0)]
    desk.do(Delete(actor="alice", id="mt-c"))
    assert desk.ask(ListIssues(texts=True, sort="id")).issues[0]["dependent_count"] == 1
    assert not set(names) & set(desk.ask(ListIssues()).issues[0])


# -- ready -------------------------------------------------------------------------------------------------------
def test_ready_work_is_sorted_by_priority_by_age_or_by_both(desk: Desk) -> None:
    for name, priority in (("mt-old2", 2), ("mt-old0", 0)):
        desk.create(name, priority=priority)
        desk.clock.advance(HOUR_MS)
    desk.clock.advance(3 * DAY_MS)
    for name, priority in (("mt-new3", 3), ("mt-new1", 1)):
        desk.create(name, priority=priority)
        desk.clock.advance(HOUR_MS)
    assert desk.ready() == ["mt-old0", "mt-new1", "mt-old2", "mt-new3"]
    assert desk.ready(sort="oldest") == ["mt-old2", "mt-old0", "mt-new3", "mt-new1"]
    assert desk.ready(sort="hybrid") == ["mt-new1", "mt-new3", "mt-old2", "mt-old0"]


@pytest.mark.parametrize("sort", ["priority", "oldest", "hybrid"])
def test_deferred_issues_become_ready_as_time_passes(desk: Desk, sort: str) -> None:
    desk.create("mt-later", defer_until=time_text(START_MS + HOUR_MS))
    assert desk.ready(sort=sort) == []
    assert desk.ready(sort=sort, include_deferred=True) == ["mt-later"]
    desk.clock.advance(HOUR_MS - 1)
    assert desk.ready(sort=sort) == []
    desk.clock.advance(1)
    assert desk.ready(sort=sort) == ["mt-later"]


def test_an_issue_whose_time_had_come_is_not_ready_on_a_clock_set_back(desk: Desk) -> None:
    desk.create("mt-later", defer_until=time_text(START_MS + HOUR_MS))
    desk.clock.advance(HOUR_MS)
    desk.create("mt-other")
    assert desk.ready() == ["mt-other", "mt-later"]
    desk.clock.set_wall(START_MS)
    assert desk.ready() == ["mt-other"]
    assert desk.ready(include_deferred=True) == ["mt-other", "mt-later"]


def test_an_issue_that_was_due_when_it_came_is_not_ready_on_a_clock_set_back(desk: Desk) -> None:
    desk.clock.advance(HOUR_MS)
    desk.create("mt-later", defer_until=time_text(START_MS + 60_000))
    desk.create("mt-sooner", defer_until=time_text(START_MS - 60_000))
    assert sorted(desk.ready()) == ["mt-later", "mt-sooner"]
    desk.clock.set_wall(START_MS)
    assert desk.ready() == ["mt-sooner"]


def test_a_rebuild_under_way_takes_nothing_from_what_is_known_of_the_views_that_are_served(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.create("mt-later", defer_until=time_text(START_MS + HOUR_MS))
    desk.clock.advance(HOUR_MS)
    desk.update("mt-later", priority=1)
    monkeypatch.setattr(rebuild, "STRETCH", 1)
    with desk.replica.transaction() as unit:
        assert not rebuild.Rebuild().step(unit)["done"]
    assert desk.ready() == ["mt-later"]
    desk.clock.set_wall(START_MS)
    assert desk.ready() == []


def test_a_claim_that_lapsed_and_a_status_that_counts_as_open_wait_for_their_time_too(desk: Desk) -> None:
    desk.do(SetSetting(actor="alice", project="mt", key="status.custom", value="qa:active"))
    later = time_text(START_MS + HOUR_MS)
    desk.create("mt-qa", status="qa", defer_until=later)
    desk.create("mt-claimed")
    desk.do(Update(actor="alice", id="mt-claimed", claim=True, ttl_ms=60_000))
    desk.update("mt-claimed", defer_until=later)
    desk.clock.advance(HOUR_MS - 1)
    assert desk.ready() == []
    assert sorted(desk.ready(include_deferred=True)) == ["mt-claimed", "mt-qa"]
    desk.clock.advance(1)
    assert sorted(desk.ready()) == ["mt-claimed", "mt-qa"]


def test_types_that_are_no_work_and_ephemeral_issues_are_ready_only_when_asked_for(desk: Desk) -> None:
    desk.create("mt-task")
    desk.create("mt-gate", issue_type="gate")
    desk.create("mt-wisp", ephemeral=True)
    assert desk.ready() == ["mt-task"]
    assert desk.ready(filter=Filter(types=("gate",))) == ["mt-gate"]
    assert sorted(desk.ready(include_ephemeral=True)) == ["mt-task", "mt-wisp"]
    assert sorted(listed(desk)) == ["mt-gate", "mt-task", "mt-wisp"]


def test_ready_takes_filters_and_limits(desk: Desk) -> None:
    for name, label in (("mt-a", "red"), ("mt-b", "blue"), ("mt-c", "red")):
        desk.create(name, labels=(label,), priority=1 + (name == "mt-c"))
    red = Filter(labels=("red",))
    assert desk.ready(filter=red) == ["mt-a", "mt-c"]
    page = desk.ask(Ready(filter=red, limit=1))
    assert (ids_of(page.issues), page.truncated) == (["mt-a"], True)
    assert desk.ready(filter=Filter(projects=("none",))) == []


# -- blocked and children ------------------------------------------------------------------------------------------
def test_blocked_issues_say_what_holds_them_up(desk: Desk) -> None:
    for name in ("mt-one", "mt-two", "mt-waits", "mt-child", "mt-free"):
        desk.create(name)
    desk.link("mt-waits", "mt-one")
    desk.link("mt-waits", "mt-two")
    desk.link("mt-child", "mt-waits", "parent-child")
    desk.link("mt-free", "mt-one", "related")
    found = {each["id"]: (each["blocked_by"], each["blocked_by_count"]) for each in desk.ask(Blocked()).issues}
    assert found == {"mt-waits": (["mt-one", "mt-two"], 2), "mt-child": (["mt-waits"], 1)}
    close(desk, "mt-one")
    assert desk.ask(Blocked(filter=Filter(ids=("mt-waits",)))).issues[0]["blocked_by"] == ["mt-two"]
    close(desk, "mt-two")
    assert desk.blocked() == []


def test_children_are_the_direct_and_living_ones_by_priority(desk: Desk) -> None:
    desk.create("mt-top")
    for name, priority in (("mt-a", 3), ("mt-b", 1), ("mt-c", 1), ("mt-gone", 0)):
        desk.clock.advance(1)
        desk.create(name, priority=priority, parent="mt-top")
    desk.create("mt-below", parent="mt-a")
    desk.do(Delete(actor="alice", id="mt-gone"))
    close(desk, "mt-a")
    assert ids_of(desk.ask(Children(id="mt-top")).issues) == ["mt-c", "mt-b", "mt-a"]
    assert desk.refusal(Children(id="mt-none")) is Code.NOT_FOUND


def test_the_few_that_changed_last_are_the_first_of_all(desk: Desk) -> None:
    for number in range(6):
        desk.create(f"mt-{number}", title=f"Number {number}", project="other" if number == 5 else "mt")
        desk.clock.advance(number % 2)
    close(desk, "mt-1")
    desk.do(Delete(actor="alice", id="mt-2"))
    desk.update("mt-0", priority=0)
    for wanted in (Filter(), Filter(projects=("mt",)), Filter(statuses=("closed",)), Filter(title_contains="ber 3")):
        for every in (True, False):
            whole = listed(desk, filter=wanted, all=every, sort="updated")
            for limit in range(1, 7):
                page = desk.ask(ListIssues(filter=wanted, all=every, sort="updated", limit=limit))
                assert (ids_of(page.issues), page.truncated) == (whole[:limit], len(whole) > limit)


# -- Several planes ----------------------------------------------------------------------------------------------
@pytest.fixture
def planes() -> Desk:
    """Issues of three projects: `mt` is on both planes, `tm` on the second alone."""
    desk = two_planes()
    clash(desk)
    create_on(desk, "ledger", "mt-a", labels=("red",))
    create_on(desk, "team", "mt-b", labels=("red", "blue"))
    create_on(desk, "", "tm-c", "tm")
    create_on(desk, "", "tm-d", "tm")
    desk.link("tm-c", "tm-d")
    desk.update("tm-d", assignee="bob")
    return desk


FOUND = [
    (Filter(), {"mt-a", "mt-b", "tm-c", "tm-d"}),
    (Filter(projects=("mt",)), {"mt-a", "mt-b"}),
    (Filter(projects=("mt",), plane="team"), {"mt-b"}),
    (Filter(projects=("tm",), plane="ledger"), set()),
    (Filter(plane="ledger"), {"mt-a"}),
    (Filter(plane="team"), {"mt-b", "tm-c", "tm-d"}),
    (Filter(plane="team", labels=("red",)), {"mt-b"}),
    (Filter(plane="ledger", assignee="bob"), set()),
]


@pytest.mark.parametrize(("wanted", "found"), FOUND)
def test_lists_cover_all_planes_unless_one_is_named(planes: Desk, wanted: Filter, found: set[str]) -> None:
    assert set(listed(planes, filter=wanted)) == found
    assert set(planes.ready(filter=wanted)) == found - {"tm-c"}
    blocked = planes.ask(Blocked(filter=wanted, limit=0)).issues
    assert [(each["id"], each["blocked_by"]) for each in blocked] == [("tm-c", ["tm-d"])] * ("tm-c" in found)
    assert planes.ask(Count(filter=wanted)) == {"total": len(found)}
    assert {json.loads(line)["id"] for line in planes.ask(Export(filter=wanted))["lines"]} == found
    stats = planes.ask(Stats(projects=wanted.projects, plane=wanted.plane))
    if not (wanted.labels or wanted.assignee):
        assert (stats["total"], stats["blocked"]) == (len(found), int("tm-c" in found))


def test_labels_are_counted_over_all_planes_unless_one_is_named(planes: Desk) -> None:
    assert planes.ask(Labels()) == [{"label": "blue", "count": 1}, {"label": "red", "count": 2}]
    assert planes.ask(Labels(plane="ledger")) == [{"label": "red", "count": 1}]


def test_a_plane_is_named_by_the_beginning_of_its_id_too_and_must_hold_issues(planes: Desk) -> None:
    team = planes.replica.plane_named("team").id.hex()
    assert set(listed(planes, filter=Filter(plane=team[:8]))) == {"mt-b", "tm-c", "tm-d"}
    assert planes.refusal(ListIssues(filter=Filter(plane="nosuch"))) is Code.NOT_FOUND
    assert planes.refusal(Count(filter=Filter(plane="operational"))) is Code.INVALID


def test_the_deferred_of_each_plane_become_ready(planes: Desk) -> None:
    for name in ("mt-a", "mt-b"):
        planes.update(name, defer_until=time_text(START_MS + HOUR_MS))
    for plane, name in (("ledger", "mt-a"), ("team", "mt-b")):
        parts = {"filter": Filter(plane=plane, projects=("mt",))}
        assert planes.ready(**parts) == []
        assert planes.ready(include_deferred=True, **parts) == [name]
    planes.clock.advance(2 * HOUR_MS)
    assert set(planes.ready(filter=Filter(projects=("mt",)))) == {"mt-a", "mt-b"}


def test_issues_of_one_id_on_two_planes_are_both_listed_and_each_is_found_by_its_plane() -> None:
    desk = two_planes()
    make_twins(desk)
    page = desk.ask(ListIssues(limit=0, sort="title"))
    assert [issue["title"] for issue in page.issues] == ["One", "Two"]
    assert page.short == [len("mt-same22")] * 2
    assert desk.refusal(ListIssues(filter=Filter(ids=("mt-same22",)))) is Code.AMBIGUOUS
    for plane, title in (("ledger", "One"), ("team", "Two")):
        found = desk.ask(ListIssues(filter=Filter(ids=("mt-same22",), plane=plane))).issues
        assert [issue["title"] for issue in found] == [title]


def test_a_short_id_grows_with_an_issue_whose_id_begins_like_it_and_not_with_another(desk: Desk) -> None:
    desk.create("mt-abcdef")
    assert desk.ask(ListIssues()).short == [len("mt-abcd")]
    desk.create("mt-bcdefg", priority=4)
    assert desk.ask(ListIssues()).short == [len("mt-abcd"), len("mt-bcde")]
    desk.create("mt-abcdxy", priority=4)
    assert desk.ask(ListIssues(limit=1)).short == [len("mt-abcde")]


def test_a_short_id_in_the_list_of_one_plane_is_unique_among_all() -> None:
    desk = two_planes()
    create_on(desk, "ledger", "x-bbbbb2")
    create_on(desk, "team", "x-bbbbb3", "tm")
    page = desk.ask(ListIssues(filter=Filter(plane="team")))
    assert (ids_of(page.issues), page.short) == (["x-bbbbb3"], [len("x-bbbbb3")])


def test_each_of_two_issues_of_one_id_is_blocked_by_what_blocks_it() -> None:
    desk = two_planes()
    make_twins(desk)
    for plane in ("ledger", "team"):
        create_on(desk, plane, f"mt-before-{plane}")
        desk.link(f"{plane}:mt-same22", f"mt-before-{plane}")
    blocked = desk.ask(Blocked(limit=0)).issues
    assert {issue["title"]: issue["blocked_by"] for issue in blocked} == {
        "One": ["mt-before-ledger"],
        "Two": ["mt-before-team"],
    }


def test_projects_that_share_the_last_number_are_told_apart_by_their_planes(
    planes: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "OTHER_PROJECTS", len(planes.replica.projects))
    for plane, name in (("ledger", "yy-1"), ("team", "yy-2")):
        open_project(planes, planes.replica.plane_named(plane).number, "yy")
        create_on(planes, plane, name, "yy")
    assert len(set(planes.replica.projects.values())) < len(planes.replica.projects)
    assert listed(planes, filter=Filter(plane="ledger", projects=("yy",))) == ["yy-1"]
    assert listed(planes, filter=Filter(plane="team", projects=("yy",))) == ["yy-2"]


def test_a_limit_of_any_size_is_a_limit(desk: Desk) -> None:
    desk.create("mt-1")
    assert ids_of(desk.ask(Ready(limit=2**63 - 1)).issues) == ["mt-1"]
    assert listed(desk, limit=2**64 - 1) == ["mt-1"]
