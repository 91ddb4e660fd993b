"""The history of an issue: a line for each event."""

import json

import pytest

from moot.console.commands.issues.history import COMMANDS, event_meant, event_number
from moot_protocol.errors import RefusedError
from moot_protocol.requests.issues import History, Show
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, run
from moot_testkit.clients.terminal import FACTS, at_terminal, without_colours

EVENTS = [
    {
        "author": "k",
        "n": 7,
        "at": NOW_MS - 3_600_000,
        "actor": "alice\x1b[2J",
        "changes": [
            {"field": "status", "value": "closed"},
            {"field": "priority", "value": 0},
            {"field": "labels", "removed": "auth"},
            {"field": "edges", "removed": True},
            {"field": "assignee", "value": ""},
        ],
    },
    {
        "author": "k",
        "n": 1,
        "at": NOW_MS - 90_000_000,
        "actor": "bob",
        "changes": [{"field": "description", "value": "line\n" * 100}],
    },
]


def test_events_in_a_pipe() -> None:
    first, second = run(COMMANDS, "history a1b2", CannedApi(history=EVENTS)).out.splitlines()
    changes = "status: closed; priority: 0; labels removed: auth; edges removed; assignee: (empty)"
    assert first == f"n=7 2026-01-31 11:00 alice^[[2J {changes}"
    assert (
        second == "n=1 2026-01-30 11:00 bob description: line⏎line⏎line⏎line⏎line⏎line⏎line⏎line⏎line⏎line⏎line⏎line…"
    )


def test_events_at_a_terminal_tell_their_age_and_fit() -> None:
    terminal = without_colours(at_terminal(70))
    assert run(COMMANDS, "history a1b2", CannedApi(history=EVENTS), terminal).out.splitlines() == [
        "n=7  2026-01-31 11:00  1h ago  alice^[[2J  status: closed; priority:…",
        "n=1  2026-01-30 11:00  1d ago  bob         description: line⏎line⏎lin…",
    ]


def test_a_number_that_undo_does_not_mean_has_the_machine_beside_it_whose_it_is() -> None:
    of_both = [EVENTS[0] | {"own": True}, EVENTS[1] | {"own": False, "author": "AakSBlMTxyzw" + "x" * 31}]
    first, second = run(COMMANDS, "history a1b2", CannedApi(history=of_both)).out.splitlines()
    assert (first.split()[0], second.split()[0]) == ("n=7", "n=1@AakSBlMTxyzw")


def test_an_event_is_understood_as_it_is_printed() -> None:
    other = EVENTS[0] | {"own": False, "author": "AakS-_MTxyzw" + "x" * 31}
    assert event_meant(event_number(EVENTS[0])) == (7, "")
    assert event_meant(event_number(other)) == (7, "AakS-_MTxyzw")
    assert event_meant("7") == (7, "")


@pytest.mark.parametrize("typed", ["", "n=", "bd-7", "7@", "n7", "٧", str(2**63)])
def test_what_is_no_number_names_no_event(typed: str) -> None:
    assert event_meant(typed) is None


def test_times_are_told_as_times_whatever_the_log_keeps() -> None:
    closed = EVENTS[0] | {
        "changes": [{"field": "closed_at", "value": NOW_MS}, {"field": "estimated_minutes", "value": 9}]
    }
    ran = run(COMMANDS, "history a1b2", CannedApi(history=[closed]))
    assert ran.out.endswith(" closed_at: 2026-01-31T12:00:00.000Z; estimated_minutes: 9\n")


def test_what_was_erased_says_by_whom_and_when_safe_to_print() -> None:
    gone = {"missing": True, "erased": True}
    by = {"actor": "eve\x1b[2J", "author": "k", "at": NOW_MS}
    changes = [{"field": "title", "missing": True}, {"field": "notes", **gone, "erased_by": by}, {"field": "x", **gone}]
    ran = run(COMMANDS, "history a1b2", CannedApi(history=[EVENTS[0] | {"changes": changes}]))
    told = "title: not held here; notes: (erased by eve^[[2J, 2026-01-31 12:00); x: (erased)"
    assert ran.out.endswith(f" {told}\n")


def test_json_has_every_event_as_it_is() -> None:
    ran = run(COMMANDS, "history a1b2 --json", CannedApi(history=EVENTS))
    assert json.loads(ran.out) == EVENTS
    assert ran.asked == [History(id="a1b2", limit=100)]


def test_a_list_that_reached_its_limit_says_so() -> None:
    ran = run(COMMANDS, "history a1b2 --limit 2", CannedApi(history=EVENTS))
    assert ran.err == "the newest 2 events shown; --limit 0 shows all\n"
    ran = run(COMMANDS, "history a1b2 --limit 1", CannedApi(history=EVENTS[:1]))
    assert ran.err == "the newest event shown; --limit 0 shows all\n"
    assert run(COMMANDS, "history a1b2 --limit 0", CannedApi(history=EVENTS)).err == ""
    assert run(COMMANDS, "history a1b2 --limit 0", CannedApi(history=[])).err == ""


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(RefusedError):
        run(COMMANDS, "history a1b2 --limit=-1", CannedApi())


def test_an_event_of_another_town_says_from_which() -> None:
    event = {"n": 3, "at": NOW_MS, "actor": "bob", "changes": [], "_origin": {"town": "abcd", "town_name": "rivertown"}}
    assert "bob from rivertown" in run(COMMANDS, "history bd-1", CannedApi(history=[event])).out


def test_at_a_terminal_a_towns_long_name_leaves_room_for_what_was_changed() -> None:
    origin = {"town": "abcd", "town_name": "The friendly town beyond the river"}
    event = {"n": 3, "at": NOW_MS, "actor": "bob", "changes": [{"field": "title", "value": "New"}], "_origin": origin}
    told = run(COMMANDS, "history bd-1", CannedApi(history=[event]), at_terminal(80, NO_COLOR="1")).out
    assert told.endswith("  bob from The friend…  title: New\n")


def test_called_as_bd_the_document_has_the_issue_after_each_change() -> None:
    bd = FACTS._replace(program="bd")
    both = [EVENTS[0], EVENTS[0] | {"n": 6}, EVENTS[1]]
    issue = [{"id": "bd-1", "status": "closed", "dependencies": [], "_short": 4}]
    ran = run(COMMANDS, "history a1b2 --json", CannedApi(history=both, show=issue), bd)
    newest, oldest = json.loads(ran.out)
    assert ran.asked[1:] == [Show(ids=("a1b2",), as_of=at) for at in (NOW_MS - 3_600_000, NOW_MS - 90_000_000)]
    assert newest["Issue"] == {"id": "bd-1", "status": "closed"}
    assert (oldest["Committer"], oldest["CommitDate"]) == ("bob", "2026-01-30T11:00:00.000Z")
    assert newest["CommitHash"] != oldest["CommitHash"]
    assert json.loads(run(COMMANDS, "history a1b2 --json --events", CannedApi(history=both), bd).out) == both
