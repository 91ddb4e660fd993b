"""Reading requests answered from a snapshot: exactly as the daemon answers them at that moment, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.spool.reads import SNAPSHOT_READS, Reading
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import Handoffs, WriteHandoff
from moot_protocol.requests.issues import (
    AddComment,
    Blocked,
    Children,
    Close,
    Count,
    Create,
    Delete,
    Edge,
    Edges,
    IssueFields,
    Labels,
    ListIssues,
    Ready,
    ResolveIds,
    Show,
    Stats,
    Update,
)
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.memories import Memories, Prime, Remember, SetSetting, Settings
from moot_protocol.requests.transfer import Import
from moot_testkit.towns.spooling import SpoolSite, create
from moot_testkit.towns.town import PROJECT, START_MS, Api

HOUR_MS = 3600 * 1000
NAMES = [f"demo-{letter * 4}" for letter in "abcdefgh"]
OWN = {"shelved": "frozen", "shipped": "done", "review": "active", "stuck": "wip", "bare": ""}
"""Statuses of the project's own, and what it counts each as."""
OWN_NAMES = [f"demo-{status}" for status in OWN]


class Both:
    """A daemon and a snapshot that hold the same."""

    def __init__(self, site: SpoolSite) -> None:
        self.api: Api = site.api
        _fill(site.api)
        site.write_snapshot()
        self.reading = Reading(site.files.snapshot(), site.api.clock.now_ms())

    def from_snapshot(self, request: Request[Any]) -> Any:
        return SNAPSHOT_READS[type(request)](self.reading, request)

    def check(self, request: Request[Any]) -> None:
        """The answer is the daemon's, or a refusal that says why not; refusals of the daemon's are refused alike."""
        expected, found = outcome(lambda: self.api.call(request)), outcome(lambda: self.from_snapshot(request))
        if isinstance(expected, Page):
            assert list(map(without_makers, found.issues)) == list(map(without_makers, expected.issues))
            assert (found.truncated, found.short) == (expected.truncated, expected.short)
            assert expected.total in (None, found.total)  # the daemon leaves a total out where it would have to count
        elif isinstance(request, Prime):
            assert found | {"ready_total": None} == expected | {"ready_total": None}
            assert expected["ready_total"] in (None, found["ready_total"])
        else:
            assert found == expected


def outcome(work: Callable[[], Any]) -> Any:
    """What a call answers, or the code of its refusal."""
    try:
        return work()
    except MootError as error:
        return error.code


def without_makers(issue: dict[str, Any]) -> dict[str, Any]:
    """An issue without who made its dependencies: the daemon's lists don't look it up, and the snapshot knows it."""
    edges = [{k: v for k, v in edge.items() if k != "created_by"} for edge in issue.get("dependencies", ())]
    return issue | {"dependencies": edges}


def _fill(api: Api) -> None:
    a, b, c, d, e, f, g, h = NAMES
    api.call(create("Alpha", id=a, labels=("red", "size:big"), metadata={"team": "x", "n": 3}))
    described = IssueFields(title="Beta", priority=0, description="Some words", notes="noted")
    others: list[tuple[str, IssueFields, dict[str, Any]]] = [
        (b, described, {"edges": (Edge(a),), "labels": ("red",)}),
        (c, IssueFields(title="Gamma", issue_type="epic", assignee="bob"), {}),
        (
            d,
            IssueFields(title="delta", priority=3, due_at="2023-11-14T23:00:00Z", spec_id="s-1", status="deferred"),
            {"parent": c},
        ),
        (e, IssueFields(title="Epsilon", defer_until="2033-01-01T00:00:00Z"), {"parent": c}),
        (
            f,
            IssueFields(title="Zeta", pinned=True, external_ref="gh-9"),
            {"edges": (Edge("external:x", "related"), Edge(a, "related"))},
        ),
        (g, IssueFields(title="Eta", issue_type="bug", priority=1), {"labels": ("blue",), "parent": d}),
        (h, IssueFields(title="Theta"), {}),
    ]
    for number, (name, fields, more) in enumerate(others):
        api.clock.advance(HOUR_MS + number)
        api.call(Create(actor="ada", project=PROJECT, id=name, fields=fields, **more))
    api.call(Update(actor="ada", id=g, claim=True))
    api.call(AddComment(actor="ada", id=a, text="hello"))
    for step in ("look", "go on"):
        api.call(WriteHandoff(actor="ada", id=a, next=step, decisions=("LMDB",)))
    api.call(Rename(actor="ada", id=b, alias="the-beta"))
    api.clock.advance(HOUR_MS)
    api.call(Close(actor="ada", id=g, reason="done"))
    api.call(Delete(actor="ada", id=h))
    for key in ("k1", "k2"):
        api.clock.advance(1)
        api.call(Remember(actor="ada", project=PROJECT, key=key, text=f"Text of {key}"))
    api.call(SetSetting(actor="ada", project=PROJECT, key="prime.bytes", value="900"))
    setting = ",".join(f"{status}:{category}".rstrip(":") for status, category in OWN.items())
    api.call(SetSetting(actor="ada", project=PROJECT, key="status.custom", value=setting))
    for number, status in enumerate(OWN):
        api.clock.advance(HOUR_MS)
        fields = IssueFields(title=f"My {status}", status=status, priority=number, assignee="bob")
        api.call(Create(actor="ada", project=PROJECT, id=f"demo-{status}", fields=fields, labels=(status,)))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(SpoolSite(tmp_path_factory.mktemp("reads")))


TIMES = st.none() | st.integers(0, 12).map(lambda hours: START_MS + hours * HOUR_MS)
FEW = st.sampled_from
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "projects": st.just((PROJECT,)),
        "statuses": FEW(
            [("open",), ("closed",), ("open", "in_progress"), ("deferred",), ("shelved",), ("shipped", "open")]
        ),
        "exclude_statuses": FEW([("open",), ("closed",), ("shelved", "review")]),
        "types": FEW([("epic",), ("bug", "task")]),
        "exclude_types": FEW([("epic",), ("task",)]),
        "priorities": FEW([(0,), (1, 2), (3,)]),
        "assignee": FEW(["bob", "ada"]),
        "unassigned": st.booleans(),
        "labels": FEW([("red",), ("red", "size:big")]),
        "any_labels": FEW([("red", "blue"), ("none",)]),
        "exclude_labels": st.just(("red",)),
        "label_pattern": FEW(["size:*", "?ed", "*e*", "x"]),
        "label_regex": FEW(["size:(big|small)", "^r", "e."]),
        "no_labels": st.booleans(),
        "ids": FEW([(NAMES[0],), ("aaaa", "cccc"), ("the-beta",)]),
        "parent": FEW([NAMES[2], "cccc", NAMES[0]]),
        "no_parent": st.booleans(),
        "title_contains": FEW(["ta", "ALPHA"]),
        "title_or_id": FEW(["eta", "aaa", "demo-b"]),
        "text_contains": FEW(["words", "gamma"]),
        "description_contains": st.just("WORDS"),
        "notes_contains": st.just("noted"),
        "empty_description": st.booleans(),
        "spec": st.just("s-"),
        "external_contains": FEW(["GH", "9"]),
        "external": st.just("gh-9"),
        "created_after": TIMES,
        "created_before": TIMES,
        "updated_after": TIMES,
        "updated_before": TIMES,
        "closed_after": TIMES,
        "closed_before": TIMES,
        "due_after": TIMES,
        "due_before": TIMES,
        "defer_after": TIMES,
        "defer_before": TIMES,
        "overdue": st.booleans(),
        "deferred": st.booleans(),
        "pinned": FEW([None, True, False]),
        "metadata": FEW([{"team": "x"}, {"n": "3"}, {"team": "y"}]),
        "has_metadata": FEW([("n",), ("none",)]),
    },
)
SORTS = FEW(["priority", "created", "updated", "closed", "status", "id", "title", "type", "assignee", "unheard-of"])


def chosen(parts: dict[str, Any], names: set[str]) -> Filter:
    """A filter of some of the parts, so that most of them let something through."""
    return Filter(**{name: value for name, value in parts.items() if name in names})


WANTED = FILTERS.flatmap(
    lambda parts: st.sets(FEW(sorted(parts) or ["projects"]), max_size=2).map(lambda names: chosen(parts, names))
)


@given(wanted=WANTED, sort=SORTS, every=st.booleans(), reverse=st.booleans(), limit=FEW([0, 1, 3]), texts=st.booleans())
def test_lists_are_the_daemons(
    both: Both, wanted: Filter, sort: str, every: bool, reverse: bool, limit: int, texts: bool
) -> None:
    both.check(ListIssues(filter=wanted, all=every, sort=sort, reverse=reverse, limit=limit, texts=texts))


@pytest.mark.parametrize("sort", ["created", "updated", "closed"])
def test_times_are_compared_below_the_millisecond_as_the_daemon_does(tmp_path: Path, sort: str) -> None:
    site = SpoolSite(tmp_path)
    for name, below in (("demo-a", "2"), ("demo-b", "1"), ("demo-c", "30")):
        at = f"2023-11-14T22:13:20.123{below}Z"
        line = {"id": name, "title": name, "status": "closed", "created_at": at, "updated_at": at, "closed_at": at}
        lines = (json.dumps(line).encode(),)
        site.api.call(Import(actor="ada", project=PROJECT, lines=lines, first_line=1, last=True))
    site.write_snapshot()
    reading = Reading(site.files.snapshot(), site.api.clock.now_ms())
    request = ListIssues(sort=sort, all=True)
    order = ["demo-c", "demo-a", "demo-b"]
    assert [issue["id"] for issue in site.api.call(request).issues] == order
    found = SNAPSHOT_READS[ListIssues](reading, request)
    assert [issue["id"] for issue in found.issues] == order


@pytest.mark.parametrize("at", ["project", "town", "both"])
def test_what_a_list_hides_follows_the_project_s_setting_else_the_town_s(tmp_path: Path, at: str) -> None:
    site = SpoolSite(tmp_path)
    for project, setting in (("", "shelved:frozen,parked:wip"), (PROJECT, "shelved:wip,parked:done")):
        if at == "both" or (at == "town") == (project == ""):
            site.api.call(SetSetting(actor="ada", project=project, key="status.custom", value=setting))
    for status in ("shelved", "parked"):
        fields = IssueFields(title=status, status=status)
        site.api.call(Create(actor="ada", project=PROJECT, id=f"demo-{status}", fields=fields))
    site.write_snapshot()
    reading = Reading(site.files.snapshot(), site.api.clock.now_ms())
    (found,) = SNAPSHOT_READS[ListIssues](reading, ListIssues()).issues
    assert [found["id"]] == [each["id"] for each in site.api.call(ListIssues()).issues]
    assert found["id"] == ("demo-parked" if at == "town" else "demo-shelved")


@given(
    wanted=WANTED, sort=FEW(["priority", "oldest", "hybrid", "unheard-of"]), limit=FEW([0, 1, 3]), texts=st.booleans()
)
def test_ready_work_is_the_daemons(both: Both, wanted: Filter, sort: str, limit: int, texts: bool) -> None:
    if not wanted.types:
        both.check(Ready(filter=wanted, sort=sort, limit=limit, texts=texts))


@given(
    wanted=WANTED,
    by=FEW(["", "status", "priority", "type", "assignee", "label", "project", "unheard-of"]),
    every=st.booleans(),
)
def test_counts_are_the_daemons(both: Both, wanted: Filter, by: str, every: bool) -> None:
    both.check(Count(filter=wanted, by=by, all=every))


@pytest.mark.parametrize(
    "request_",
    [
        Blocked(),
        Blocked(filter=Filter(priorities=(0,)), limit=1),
        Blocked(texts=True),
        ListIssues(filter=Filter(deferred=True)),
        *(Show(ids=(name,)) for name in (*NAMES[:7], *OWN_NAMES)),
        ListIssues(),
        ListIssues(all=True),
        *(ListIssues(filter=Filter(statuses=(status,))) for status in OWN),
        ListIssues(filter=Filter(ids=(NAMES[0], "demo-shelved"))),
        Count(all=False),
        Count(by="status"),
        Show(ids=("aaaa", "the-beta")),
        Show(ids=("demo-none",)),
        Show(ids=("aaa",)),
        Ready(filter=Filter(parent=NAMES[2]), include_ephemeral=True),
        Children(id=NAMES[2]),
        Children(id=NAMES[0]),
        Children(id=NAMES[2], texts=True),
        ResolveIds(ids=("aaaa", NAMES[1])),
        *(Edges(id=NAMES[5], direction=way, type=kind) for way in ("up", "down") for kind in ("", "related")),
        Edges(id=NAMES[0], direction="up"),
        Handoffs(id=NAMES[0]),
        Handoffs(id=NAMES[1]),
        Labels(),
        Stats(),
        Stats(projects=(PROJECT,)),
        Memories(project=PROJECT),
        Memories(project=PROJECT, key="k1"),
        Memories(project=PROJECT, search="OF K2"),
        Settings(project=PROJECT, prefix="prime."),
        Settings(project=PROJECT, prefix="x"),
        Prime(project=PROJECT, actor="bob"),
        Prime(project=PROJECT, actor="ada", limit=1),
    ],
    ids=repr,
)
def test_every_other_answer_is_the_daemons(both: Both, request_: Request[Any]) -> None:
    both.check(request_)


@pytest.mark.parametrize(
    "request_",
    [
        ListIssues(filter=Filter(deleted=True)),
        ListIssues(filter=Filter(projects=("other",))),
        ListIssues(filter=Filter(plane="elsewhere")),
        Ready(include_deferred=True),
        Ready(include_ephemeral=True),
        Ready(filter=Filter(types=("bug",))),
        Show(ids=(NAMES[0],), as_of=1),
        Memories(project="other"),
        Settings(project="other"),
        Prime(project="other", actor="ada"),
    ],
    ids=repr,
)
def test_what_a_snapshot_does_not_tell_is_refused_in_words(both: Both, request_: Request[Any]) -> None:
    with pytest.raises(RefusedError, match="the snapshot can't answer") as caught:
        both.from_snapshot(request_)
    assert caught.value.code is Code.UNREACHABLE


def test_a_snapshot_that_leaves_issues_out_gives_no_totals(both: Both) -> None:
    cut = Reading(both.reading.snapshot._replace(left_out=3), both.reading.now_ms)
    for request in (Count(), Stats(), Labels(), ListIssues(all=True), ListIssues(filter=Filter(statuses=("closed",)))):
        with pytest.raises(RefusedError, match="leaves 3 issues out"):
            SNAPSHOT_READS[type(request)](cut, request)
    assert SNAPSHOT_READS[ListIssues](cut, ListIssues()).issues


def test_where_other_towns_write_agents_are_told_nothing_first(both: Both) -> None:
    shared = Reading(both.reading.snapshot._replace(shared=True), both.reading.now_ms)
    with pytest.raises(RefusedError, match="other towns"):
        SNAPSHOT_READS[Prime](shared, Prime(project=PROJECT, actor="ada"))


def test_an_agent_is_told_that_a_memory_is_in_conflict(both: Both) -> None:
    first, *others = both.reading.snapshot.memories
    apart = Reading(both.reading.snapshot._replace(memories=(first | {"conflict": True}, *others)), both.reading.now_ms)
    told = SNAPSHOT_READS[Prime](apart, Prime(project=PROJECT, actor="ada"))["memories"]
    assert [each["key"] for each in told if each.get("conflict")] == [first["key"]]
