"""diff and undo: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.changes import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Diff, Undo
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, Ran, run
from moot_testkit.clients.console import issue, run_console

HOUR_MS = 3600 * 1000
FOUND = [
    {"issue_id": "bd-1", "diff_type": "added", "old_value": None, "new_value": issue(1), "changes": []},
    {
        "issue_id": "bd-2", "diff_type": "modified", "old_value": issue(2), "new_value": issue(2, title="Evil\x1b"),
        "changes": [
            {"field": "title", "from": "Issue 2", "to": "Evil\x1b"},
            {"field": "labels", "from": None, "to": ["a", "b"]},
            {"field": "notes", "from": "x" * 100, "to": ""},
        ],
    },
    {"issue_id": "bd-3", "diff_type": "removed", "old_value": issue(3), "new_value": None, "changes": []},
]  # fmt: skip
DONE = {
    "undone": {"n": [4, 5], "at": NOW_MS - 3 * HOUR_MS, "actor": "alice\x07"},
    "changes": [{"id": "bd-1", "field": "status", "from": "closed", "to": "open"}],
    "issues": [issue(1, dependencies=[{"depends_on_id": "bd-2"}])],
}


def tried(argv: str | list[str], **answers: Any) -> Ran:
    return run(COMMANDS, argv, CannedApi(**{"diff": FOUND, "undo": DONE} | answers))


# -- diff --------------------------------------------------------------------------------------------------------
def test_two_times_are_compared_of_all_issues() -> None:
    assert tried(["diff", "2h ago", "now"]).asked == [Diff(before=NOW_MS - 2 * HOUR_MS, after=NOW_MS, projects=("bd",))]


def test_an_issue_is_compared_from_its_beginning_until_now_unless_told() -> None:
    assert tried("diff bd-2").asked == [Diff(before=-1, after=NOW_MS, ids=("bd-2",))]
    asked = tried(["diff", "bd-2", "--from", "2h ago", "--to", "1h ago"]).asked
    assert asked == [Diff(before=NOW_MS - 2 * HOUR_MS, after=NOW_MS - HOUR_MS, ids=("bd-2",))]


@pytest.mark.parametrize("argv", ["diff a b c", "diff a b --from now", "diff HEAD~5 HEAD"])
def test_what_is_neither_an_issue_nor_two_times_is_refused(argv: str) -> None:
    with pytest.raises(RefusedError, match=r"two times|no time"):
        tried(argv)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("2026-01-01", "`moot diff --from 2026-01-01` tells what has changed since"),
        ("2h ago", "`moot diff --from '2h ago'` tells what has changed since"),
        ("1h", "the time is written \"1h ago\": `moot diff --from '1h ago'` tells what has changed since"),
        ("bd-zz", "as the daemon says"),
    ],
)
def test_one_time_that_is_taken_for_an_issue_is_told_where_it_goes(typed: str, hint: str) -> None:
    unknown = RefusedError(f"no issue {typed}", code=Code.NOT_FOUND, hint="as the daemon says")
    with pytest.raises(RefusedError) as refused:
        tried(["diff", typed], diff=unknown)
    assert (refused.value.message, refused.value.hint) == (f"no issue {typed}", hint)


def test_each_issue_is_marked_and_its_fields_stand_below() -> None:
    assert tried("diff --from now").out.splitlines() == [
        "+ bd-000000000001 P2 task open Issue 1",
        "~ bd-000000000002 P2 task open Evil^[",
        "    title: Issue 2 → Evil^[",
        '    labels: (none) → ["a","b"]',
        f"    notes: {'x' * 59}… → (none)",
        "- bd-000000000003 P2 task open Issue 3",
    ]
    assert json.loads(tried("diff --from now --json").out) == FOUND


def test_where_nothing_changed_it_is_said_beside_the_output() -> None:
    ran = tried("diff --from now", diff=[])
    assert (ran.out, ran.err) == ("", "nothing changed\n")


# -- undo --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        ("undo", Undo(actor="alice")),
        ("undo --last --dry-run", Undo(actor="alice", dry_run=True)),
        ("undo bd-1", Undo(actor="alice", id="bd-1")),
        (f"undo {2**63}", Undo(actor="alice", id=f"{2**63}")),
        ("undo 1234 --plane team", Undo(actor="alice", n=1234, plane="team")),
        ("undo n=97", Undo(actor="alice", n=97)),
        ("undo n=3@VMqzmfZvhP4A", Undo(actor="alice", n=3, author="VMqzmfZvhP4A")),
        ("undo 3@VMqz", Undo(actor="alice", n=3, author="VMqz")),
    ],
)
def test_a_write_is_the_last_or_named(argv: str, wanted: Undo) -> None:
    assert tried(argv).asked == [wanted]


def test_a_number_is_of_the_plane_of_the_folder_s_project_unless_another_is_named() -> None:
    answers = {"workspace_info": {"project": "bd", "plane": "c0ffee", "folder": "/"}, "undo": DONE}
    assert run_console("undo 3 --actor alice", answers).request == Undo(actor="alice", n=3, plane="c0ffee")
    assert run_console("undo 3 --plane team --actor alice", answers).request == Undo(actor="alice", n=3, plane="team")
    assert run_console("undo bd-1 --actor alice", answers).request == Undo(actor="alice", id="bd-1")


def test_an_undo_tells_of_conflicts_that_come_back_and_that_are_over() -> None:
    back = {"id": "bd-1", "field": "title", "from": "B", "to": "B", "conflict": ["A\x07", "B"]}
    over = {"id": "bd-1", "field": "title", "from": "B", "to": "A", "conflict": []}
    told = tried("undo", undo=DONE | {"changes": [back, over]}).out.splitlines()
    assert told[1:] == ["  bd-1 title: in conflict again: A^G | B", "  bd-1 title: B → A, in conflict no more"]


def test_where_there_was_nothing_to_undo_it_is_said_and_how_older_writes_are_reached() -> None:
    same = DONE | {"changes": [], "_unchanged": True}
    assert tried("undo", undo=same).out.splitlines() == [
        "Nothing to do: nothing is to be put back of what alice^G wrote 3h ago (events 4 to 5)",
        "  `moot undo N` undoes an older write: the n= of `moot history ID`",
    ]
    assert json.loads(tried("undo --json", undo=same).out)["_unchanged"] is True


def test_an_undo_tells_what_was_undone_and_what_is_there_again() -> None:
    assert tried("undo").out.splitlines() == [
        "✓ Undid what alice^G wrote 3h ago (events 4 to 5)", "  bd-1 status: closed → open",
    ]  # fmt: skip
    one = DONE | {"undone": {"n": [4, 4], "at": NOW_MS, "actor": "alice"}}
    assert tried("undo --dry-run", undo=one).out.startswith("✓ Would undo what alice wrote just now (event 4)\n")
    document = json.loads(tried("undo --json").out)
    assert document["changes"] == DONE["changes"]
    assert document["issues"] == [issue(1)]


def test_times_are_told_as_times_whatever_the_log_keeps() -> None:
    change = {"id": "bd-1", "field": "closed_at", "from": NOW_MS, "to": None}
    told = tried("undo", undo=DONE | {"changes": [change]}).out
    assert told.endswith("  bd-1 closed_at: 2026-01-31T12:00:00.000Z → (none)\n")


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("status", None, "open"),
        ("status", "", "open"),
        ("issue_type", [], "task"),
        ("priority", "high", "2"),
        ("priority", 9, "4"),
        ("owner", {}, "(none)"),
        ("owner", 7, "(none)"),
        ("pinned", False, "false"),
        ("labels", "", "(none)"),
        ("labels", "red", "red"),
    ],
)
def test_what_a_file_had_is_told_as_the_issue_shows_it(field: str, value: object, shown: str) -> None:
    change = {"id": "bd-1", "field": field, "from": value, "to": value}
    told = tried("undo", undo=DONE | {"changes": [change]}).out
    assert told.endswith(f"  bd-1 {field}: {shown} → {shown}\n")


def test_a_conflict_about_a_deletion_that_comes_back_is_told_in_words() -> None:
    back = {"id": "bd-1", "field": "deleted", "from": True, "to": True, "conflict": [["ann", "old\x07", 1], None]}
    told = tried("undo", undo=DONE | {"changes": [back]}).out
    assert told.endswith("  bd-1 deleted: in conflict again: deleted by ann: old^G | (not deleted)\n")


def test_last_and_a_name_exclude_one_another() -> None:
    with pytest.raises(RefusedError, match="exclude"):
        tried("undo bd-1 --last")
