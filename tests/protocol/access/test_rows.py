"""What answers show in part: whatever has a name that isn't seen is left out, and nothing tells how much that was."""

import json
from typing import Any

import pytest

from moot_protocol.access.rows import (
    ALSO_SHOWN,
    BY_NAME,
    CHOOSING,
    NARROWED,
    WRITTEN,
    among,
    cut,
    is_passed_over,
    ready_for,
    widened,
)
from moot_protocol.access.table import EVERY_PERMISSION, PERMISSIONS
from moot_protocol.merge.kinds import KINDS
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import ListIssues, Show
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.machine import Events
from moot_protocol.requests.methods import REQUESTS

HIDDEN = "s-1"


def sees(permission: str, *names: str) -> bool:
    """As for somebody with `issue`, `memory` and some more to read, and a restriction of one name."""
    subject = permission.partition(":")[0]
    return HIDDEN not in names and subject not in {"audit", "machine"}


def issue(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "title": f"title of {name}", "status": "open", **more}


def page(*names: str, truncated: bool = False) -> Page:
    return Page(issues=[issue(name) for name in names], total=len(names), truncated=truncated, short=[3] * len(names))


def test_each_table_speaks_of_requests_that_there_are() -> None:
    reading = {method for method in NARROWED if not REQUESTS[method].writes}
    assert reading == set(NARROWED)
    assert {*BY_NAME, *ALSO_SHOWN} <= set(REQUESTS)
    assert not set(NARROWED) & BY_NAME
    assert all(REQUESTS[method].writes for method in (*WRITTEN, CHOOSING))
    assert {permission for needed in ALSO_SHOWN.values() for permission in needed} <= set(EVERY_PERMISSION)


def test_what_counts_and_compares_is_shown_whole_or_not_at_all() -> None:
    counting = {
        "count",
        "stats",
        "labels",
        "epic_status",
        "duplicates",
        "similar",
        "lint",
        "status",
        "doctor",
        "outbox",
    }
    assert counting <= set(PERMISSIONS)
    assert not counting & {*NARROWED, *BY_NAME}


@pytest.mark.parametrize("method", ["list", "ready", "blocked", "children", "query", "stale"])
def test_a_page_shows_what_is_seen_and_counts_no_more(method: str) -> None:
    shown = NARROWED[method](page("a-1", HIDDEN, "a-2"), sees)
    assert [each["id"] for each in shown.issues] == ["a-1", "a-2"]
    assert (shown.total, shown.short) == (2, [3, 3])
    assert NARROWED[method](page("a-1", HIDDEN, truncated=True), sees).total is None
    plain = Page(issues=[issue("a-1")], total=1, truncated=False)
    assert NARROWED[method](plain, sees) == plain


ROWS: dict[str, tuple[Any, Any]] = {
    "show": (
        [issue("a-1", dependents=[issue("a-2"), issue(HIDDEN)]), issue("a-3")],
        [issue("a-1", dependents=[issue("a-2")]), issue("a-3")],
    ),
    "edges": ([issue("a-1"), issue(HIDDEN)], [issue("a-1")]),
    "edge_tree": (
        issue("a-1", children=[issue("a-2", children=[issue(HIDDEN, children=[])]), issue(HIDDEN, children=[])]),
        issue("a-1", children=[issue("a-2", children=[])]),
    ),
    "cycles": ([{"cycle": ["a-1", "a-2"]}, {"cycle": ["a-1", HIDDEN]}], [{"cycle": ["a-1", "a-2"]}]),
    "conflicts": (
        [
            {"id": "a-1", "field": "title", "values": [{"value": HIDDEN}]},
            {"id": HIDDEN, "field": "title", "values": []},
            {"id": "a-1", "field": "alias", "values": [{"value": "a-1"}, {"value": HIDDEN}]},
        ],
        [{"id": "a-1", "field": "title", "values": [{"value": HIDDEN}]}],
    ),
    "graph": ({"root": "", "issues": [issue("a-1"), issue(HIDDEN)]}, {"root": "", "issues": [issue("a-1")]}),
    "diff": ([{"issue_id": "a-1"}, {"issue_id": HIDDEN}], [{"issue_id": "a-1"}]),
    "export": (
        {"lines": [json.dumps(issue("a-1")), json.dumps(issue(HIDDEN))], "next": ""},
        {"lines": [json.dumps(issue("a-1"))], "next": ""},
    ),
    "memories": ([{"key": "k"}, {"key": HIDDEN}], [{"key": "k"}]),
    "settings": ([{"key": "k"}, {"key": HIDDEN}], [{"key": "k"}]),
    "documents": ([{"id": "role/r", "name": "r"}, {"id": "role/s", "name": HIDDEN}], [{"id": "role/r", "name": "r"}]),
    "mail": ([{"id": "m"}, {"id": HIDDEN}], [{"id": "m"}]),
    "planes": ([{"name": "p"}, {"name": HIDDEN}], [{"name": "p"}]),
    "ping": ({"pid": 1}, {"pid": 1}),
}


@pytest.mark.parametrize("method", ROWS)
def test_rows_that_are_not_seen_are_left_out(method: str) -> None:
    whole, shown = ROWS[method]
    assert NARROWED[method](whole, sees) == shown
    assert NARROWED[method](shown, sees) == shown


def test_events_are_read_with_what_their_kind_of_entity_is_read_with() -> None:
    kinds = ["issue", "memory", "setting", "lease", "role", "formula", "template", "audit", "message", "charter", "x"]
    events = [{"kind": kind, "entity": "e"} for kind in kinds] + [{"kind": "issue", "entity": HIDDEN}]
    shown = NARROWED["events"]({"events": events, "next": 9}, sees)
    assert [each["kind"] for each in shown["events"]] == kinds[:7]
    asked: set[str] = set()

    def noting(permission: str, *names: str) -> bool:
        asked.add(permission)
        return bool(names)

    NARROWED["events"]({"events": [{"kind": kind, "entity": "e"} for kind in KINDS], "next": 9}, noting)
    assert asked <= ALSO_SHOWN["events"]


def test_what_an_agent_is_told_first_has_no_counts_where_something_is_hidden() -> None:
    told = {
        "memories": [{"key": "k"}, {"key": HIDDEN}], "claimed": [issue(HIDDEN)], "ready": [issue("a-1"), issue(HIDDEN)],
        "ready_total": 7, "foreign": {"memories": 1, "issues": 2},
    }  # fmt: skip
    assert NARROWED["prime"](told, sees) == {
        "memories": [{"key": "k"}], "claimed": [], "ready": [issue("a-1")], "ready_total": None,
        "foreign": {"memories": 0, "issues": 0},
    }  # fmt: skip


def test_a_write_does_not_tell_of_others_that_became_ready() -> None:
    closed = issue("a-1", _unblocked=["a-2", HIDDEN])
    assert WRITTEN["close"](closed, sees)["_unblocked"] == ["a-2"]
    assert WRITTEN["script"]([closed, None, {"x": 1}], sees) == [issue("a-1", _unblocked=["a-2"]), None, {"x": 1}]


def test_a_write_does_not_tell_of_others_that_it_finished() -> None:
    closed = issue("a-1", _finished=["a-2", HIDDEN])
    assert WRITTEN["close"](closed, sees) == WRITTEN["update"](closed, sees) == issue("a-1", _finished=["a-2"])
    assert WRITTEN["update"](issue("a-1"), sees) == issue("a-1")


def test_an_undo_does_not_tell_of_others_that_it_opened_again() -> None:
    told = {"undone": {}, "changes": [{"id": "a-1"}, {"id": HIDDEN}], "issues": [issue("a-1"), issue(HIDDEN)]}
    shown = {"undone": {}, "changes": [{"id": "a-1"}], "issues": [issue("a-1")]}
    assert WRITTEN["undo"](told, sees) == shown
    assert WRITTEN["undo"](None, sees) is None


# -- Room for what is hidden -------------------------------------------------------------------------------------
def test_a_page_is_asked_for_with_more_rows_and_cut_afterwards() -> None:
    assert widened(ListIssues(limit=2), 100) == ListIssues(limit=100)
    for kept in (ListIssues(limit=0), ListIssues(limit=200), Show(ids=("a-1",)), Events(limit=2)):
        assert widened(kept, 100) == kept
    short = cut(page("a", "b", "c"), 2)
    assert ([each["id"] for each in short.issues], short.total, short.truncated, short.short) == (
        ["a", "b"], None, True, [3, 3]
    )  # fmt: skip
    for limit in (0, 3):
        assert cut(page("a", "b", "c"), limit) == page("a", "b", "c")
    assert cut([1, 2, 3], 2) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["memory", "setting", "lease"])
def test_an_event_is_of_what_people_call_its_entity_whatever_stands_before_the_name(kind: str) -> None:
    entities = (f"demo/{HIDDEN}", HIDDEN, "demo/a/b", "demo/plain")
    shown = NARROWED["events"]({"events": [{"kind": kind, "entity": each} for each in entities], "next": 9}, sees)
    assert [each["entity"] for each in shown["events"]] == ["demo/a/b", "demo/plain"]


def test_proofs_are_shown_to_whom_their_events_are() -> None:
    kinds = ["issue", "memory", "message", "charter"]
    proofs = [{"proof": b"", "what": {"kind": kind, "entity": entity}} for kind in kinds for entity in ("e", HIDDEN)]
    events = NARROWED["events"]({"events": [proof["what"] for proof in proofs], "next": 9}, sees)["events"]
    assert [event["kind"] for event in events] == kinds[:2]
    assert [proof["what"] for proof in NARROWED["prove_event"](proofs, sees)] == events
    assert ALSO_SHOWN["prove_event"] == ALSO_SHOWN["events"]


def test_a_page_of_hidden_events_is_not_the_end() -> None:
    assert is_passed_over(Events(since=3), {"events": [], "next": 9})
    assert not is_passed_over(Events(since=9), {"events": [], "next": 9})
    assert not is_passed_over(Events(since=3), {"events": [1], "next": 9})
    assert not is_passed_over(Events(since=None), {"events": [], "next": 9})
    assert not is_passed_over(ListIssues(), page())


def test_a_claim_of_whatever_is_ready_names_what_may_be_seen_and_claimed() -> None:
    request = ClaimReady(actor="ci", filter=Filter(projects=("a",)), sort="oldest", include_deferred=True)
    wide = ready_for(request, 100)
    assert (wide.filter, wide.sort, wide.limit, wide.include_deferred) == (request.filter, "oldest", 100, True)
    found = Page(
        issues=[
            issue("a-1"), issue("a-2", assignee="bob"), issue("a-3", assignee="ci"), issue(HIDDEN),
            issue("a-4", assignee="bob") | {"status": "in_progress"}, issue("a-5"),
        ],
        total=6,
        truncated=False,
    )  # fmt: skip

    def may(permission: str, *names: str) -> bool:
        return sees(permission, *names) and (permission, *names) != ("claim:write", "a-5")

    chosen = among(request, found, may)
    assert (chosen.filter, chosen.among) == (request.filter, ("a-1", "a-3", "a-4"))
    none = among(request, Page(issues=[issue(HIDDEN)], total=1, truncated=False), may)
    assert none.among == ()
