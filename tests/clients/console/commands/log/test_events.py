"""events, wait, rebuild, fsck: what is asked of the daemon, what is printed, how they end."""

from typing import Any

import pytest

from moot.console.watching import STRETCH_MS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Count, Show
from moot_protocol.requests.machine import Events, Fsck, Rebuild
from moot_protocol.requests.memories import Settings
from moot_testkit.clients.console import Outcome, in_turn, issue, run_console, ticking

GONE = RefusedError("the client has gone away", code=Code.CANCELLED)


def event(arrival: int, entity: str = "bd-000000000001", **more: Any) -> dict[str, Any]:
    return {
        "arrival": arrival, "id": "x", "kind": "issue", "entity": entity, "actor": "bob", "at": 1_769_860_800_000,
        "changes": [{"field": "status", "value": "closed"}], "author": "k", "n": arrival,
    } | more  # fmt: skip


def page(*events: dict[str, Any], after: int = 0, first: int = 1) -> dict[str, Any]:
    return {"events": list(events), "next": events[-1]["arrival"] if events else after, "first": first}


# -- events ------------------------------------------------------------------------------------------------------
def test_events_are_read_to_the_end_page_by_page() -> None:
    ran = run_console(
        "events --since 4 --kind issue", {"events": in_turn(page(event(5), event(6)), page(event(7)), page(after=7))}
    )
    assert ran.asked == [Events(since=n, kind="issue") for n in (4, 6, 7)]
    assert ran.out.splitlines()[0] == "5 n=5 2026-01-31 12:00 bob bd-000000000001 status=closed"
    assert len(ran.out.splitlines()) == 3


def test_an_event_s_own_number_is_told_apart_from_its_place_in_the_order_of_arrival() -> None:
    both = event(7613, n=17, own=True), event(7614, n=7613, own=False, author="AakSBlMTxyzw" + "x" * 31)
    first, second = run_console("events", {"events": in_turn(page(*both), page(after=7614))}).out.splitlines()
    assert first.startswith("7613 n=17 2026-01-31 12:00 ")
    assert second.startswith("7614 n=7613@AakSBlMTxyzw 2026-01-31 12:00 ")


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("events", "arrival number, which --since takes; undo and prove take n="),
        ("history", "the number (n=) that undo and prove take"),
        ("undo", "the n= of `moot history` (no arrival number of `moot events`)"),
        ("prove", "the n= of `moot history ID`"),
        ("wait", "count what arrived after arrival number N"),
    ],
)
def test_help_says_which_number_is_meant(topic: str, told: str) -> None:
    assert told in " ".join(run_console(f"help {topic}").out.split())


def test_events_as_json_are_one_document_a_line() -> None:
    ran = run_console("events --json", {"events": in_turn(page(event(1), event(2)), page(after=2))})
    assert ran.out.count("\n") == 2
    assert '"arrival":1' in ran.out.splitlines()[0]


def test_what_an_event_did_is_shown_short_and_safe() -> None:
    changes = [
        {"field": "title", "value": "\x1b[31m" + "x" * 100},
        {"field": "labels", "removed": "old"},
        {"field": "edges", "removed": True},
        {"field": "priority", "value": 1},
    ]
    line = run_console("events", {"events": in_turn(page(event(1, changes=changes)), page(after=1))}).out
    assert "\x1b" not in line
    assert len(line) < 160
    assert line.endswith("…, -labels=old, -edges, priority=1\n")


def test_following_waits_for_more_and_goes_on_until_the_client_leaves() -> None:
    ran = run_console("events --follow", {"events": in_turn(page(event(1)), page(after=1), page(event(2)), GONE)})
    assert ran.asked == [Events(since=n, wait_ms=STRETCH_MS) for n in (0, 1, 1, 2)]
    assert len(ran.out.splitlines()) == 2


def test_a_gap_is_told() -> None:
    ran = run_console("events --since 3", {"events": in_turn(page(event(9), first=9), page(after=9, first=9))})
    assert ran.err == "events 4 to 8 are no longer kept\n"


@pytest.mark.parametrize("argv", ["events --since x", "events --since -1", "wait a --timeout never"])
def test_numbers_that_are_none_are_refused(argv: str) -> None:
    assert run_console(argv).code == 2


# -- wait --------------------------------------------------------------------------------------------------------
def wait(argv: str, *pages: Any, shown: Any = (), step: float = 0.0) -> Outcome:
    return run_console(
        f"wait {argv}", {"events": in_turn(*pages), "show": in_turn(*([each] for each in shown))}, seconds=ticking(step)
    )


def test_waiting_for_a_status_ends_when_the_issue_has_it() -> None:
    ran = wait(
        "a1b2 --status closed,blocked",
        page(after=10),
        page(event(11, entity="bd-other")),
        page(event(12)),
        page(event(13)),
        shown=[issue(), issue(status="in_progress"), issue(status="closed")],
    )
    assert (ran.code, ran.out) == (0, "bd-000000000001 is closed\n")
    assert [type(request) for request in ran.asked] == [Events, Show, Events, Events, Show, Events, Show]
    assert ran.asked[0] == Events(since=None)
    assert ran.asked[2] == Events(since=10, wait_ms=STRETCH_MS)


def waited_for(status: str, *, issue_id: str = "bd-000000000001", counted: Any = None) -> Outcome:
    found = {"total": 2, "groups": [{"group": "open", "count": 1}, {"group": "seen", "count": 1}]}
    answers = {
        "events": page(after=10),
        "show": [issue(id=issue_id)],
        "count": counted or found,
        "settings": [{"key": "status.custom", "value": "parked:frozen"}],
    }
    return run_console(f"wait a1b2 --timeout 0 --status {status}", answers)


def test_a_status_that_nobody_can_have_is_not_waited_for() -> None:
    ran = waited_for("closed,clsoed")
    assert ran.code == 1
    assert ran.err == (
        "Error: 'clsoed' is no status; did you mean closed?\n"
        "Hint: one of blocked, closed, deferred, hooked, in_progress, open, parked, pinned, seen\n"
    )
    assert [type(request) for request in ran.asked] == [Events, Show, Count, Settings]


@pytest.mark.parametrize("status", ["parked", "seen", "pinned", "closed,parked"])
def test_a_status_that_the_project_or_an_issue_has_is_waited_for(status: str) -> None:
    assert waited_for(status).code == 75


def test_the_statuses_of_another_projects_issue_are_those_of_its_project() -> None:
    ran = waited_for("parked", issue_id="my-app-1")
    assert [request.project for request in ran.asked if isinstance(request, Settings)] == ["bd", "my-app"]


def test_where_the_statuses_cannot_be_asked_for_any_is_waited_for() -> None:
    assert waited_for("clsoed", counted=RefusedError("not yours", code=Code.DENIED)).code == 75


def test_the_place_in_the_log_is_taken_before_the_issue_is_looked_at() -> None:
    ran = wait("a1b2 --status closed", page(after=10), shown=[issue(status="closed")])
    assert [type(request) for request in ran.asked] == [Events, Show]
    assert ran.code == 0


def test_without_a_condition_any_change_of_the_issue_ends_the_waiting() -> None:
    ran = wait("a1b2 --json", page(after=1), page(after=1), page(event(2)), shown=[issue(), issue(priority=0)])
    assert ran.document == issue(priority=0)


def test_waiting_for_events_counts_them_from_where_one_says() -> None:
    pages = page(event(6), event(7)), page(after=7), page(event(8), event(9))
    ran = wait("--events 3 --since 5 --json", page(after=7), *pages)
    assert ran.document == {"events": 4, "next": 9}
    assert ran.asked[1] == Events(since=5, wait_ms=STRETCH_MS)


@pytest.mark.parametrize("what", ["--events 1", "a1b2 --status closed"])
def test_a_place_behind_the_end_of_the_log_is_not_waited_at(what: str) -> None:
    ran = wait(f"{what} --since 999999999", page(after=1204))
    assert (ran.code, ran.err.splitlines()[0]) == (2, "Error: the log ends at 1204, and --since names 999999999")
    assert wait("--events 1 --since 1204", page(after=1204), page(event(1205))).code == 0


def test_a_deleted_issue_is_not_waited_for() -> None:
    told = "Error: bd-000000000001 is deleted\nHint: `moot undelete bd-000000000001` brings it back\n"
    gone = issue(status="tombstone")
    for argv in ("a1b2 --status closed", "a1b2"):
        ran = wait(argv, page(after=1), shown=[gone])
        assert (ran.code, ran.err) == (3, told)
    ran = wait("a1b2 --status closed", page(after=1), page(event(2)), shown=[issue(), gone])
    assert (ran.code, ran.err) == (3, told)
    ran = wait("a1b2", page(after=1), page(event(2)), shown=[issue(), gone])  # that is the change that was waited for
    assert (ran.code, ran.out) == (0, "bd-000000000001 is tombstone\n")


def test_its_document_has_nothing_that_is_for_the_eye_only() -> None:
    ran = wait("a1b2 --status open --json", page(after=1), shown=[issue(_short=7)])
    assert "_short" not in ran.document


def test_a_timeout_exits_75_and_says_where_to_go_on() -> None:
    ran = wait("--events 1 --timeout 5", page(after=10), page(after=10), page(after=10), step=3.0)
    assert ran.code == 75
    assert "--since 10" in ran.err
    assert ran.asked[-2:] == [Events(since=10, wait_ms=2000), Events(since=10)]


@pytest.mark.parametrize("argv", ["", "a1b2 --events 1"])
def test_what_to_wait_for_is_one_thing(argv: str) -> None:
    ran = wait(argv)
    assert (ran.code, ran.asked) == (2, [])


# -- rebuild, fsck -----------------------------------------------------------------------------------------------
def plane(before: str, after: str) -> dict[str, Any]:
    return {"name": "ledger", "events": 4000, "before": before, "after": after}


def test_rebuild_goes_on_with_the_cursor_until_it_is_done() -> None:
    ran = run_console(
        "rebuild",
        {
            "rebuild": in_turn(
                {"done": False, "cursor": "c1", "progress": [10, 4000]},
                {"done": True, "cursor": "", "progress": [4000, 4000], "planes": [plane("ab" * 32, "ab" * 32)]},
            )
        },
    )
    assert ran.asked == [Rebuild(), Rebuild(cursor="c1")]
    assert ran.code == 0
    assert ran.out == "✓ ledger: 4,000 events replayed, digest abababababababab as before\n"


def test_a_rebuild_that_reaches_another_digest_fails_and_tells_both() -> None:
    done = {"done": True, "cursor": "", "progress": [1, 1], "planes": [plane("ab" * 32, "cd" * 32)]}
    ran = run_console("rebuild", {"rebuild": done})
    assert ran.code == 1
    assert "abababababababab" in ran.out
    assert "cdcdcdcdcdcdcdcd" in ran.out
    assert run_console("rebuild --json", {"rebuild": done}).document["ok"] is False


def fsck(flags: str, *problems: dict[str, Any]) -> Outcome:
    stretches = in_turn(
        {"done": False, "cursor": "c1", "progress": [1, 2], "problems": list(problems)},
        {"done": True, "cursor": "", "progress": [2, 2], "problems": [], "batches": 2, "events": 1000},
    )
    return run_console(f"fsck {flags}", {"fsck": stretches})


def test_fsck_that_finds_nothing_says_what_it_went_through() -> None:
    ran = fsck("")
    assert ran.asked == [Fsck(), Fsck(cursor="c1")]
    assert (ran.code, ran.out) == (
        0,
        "✓ 2 batches, 1,000 events: every hash, link, signature and digest is right, and so is every list\n",
    )


def test_fsck_tells_every_problem_and_fails() -> None:
    problem = {"where": "ledger k 5", "problem": "a wrong signature", "hint": "restore it"}
    ran = fsck("", problem)
    assert ran.code == 1
    assert ran.out == "✗ ledger k 5: a wrong signature (restore it)\n2 batches, 1,000 events: 1 problem\n"
    assert fsck("--json", problem).document == {"ok": False, "batches": 2, "events": 1000, "problems": [problem]}


def test_a_kind_of_event_that_there_is_not_is_told_with_those_that_there_are() -> None:
    ran = run_console("events --kind nope", {"events": page(after=7)})
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("No kind is called 'nope' here; there are admission, ")
    assert ", issue, " in ran.err
    assert run_console("events --kind issue", {"events": page(after=7)}).err == ""
