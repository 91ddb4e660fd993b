"""audit list|export|verify: what is asked of the daemon and what is printed."""

from typing import Any

import msgspec

from moot.console import exits
from moot_protocol.requests.audit import ListAudit, VerifyAudit
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import in_turn, run_console

RECORD: dict[str, Any] = {
    "id": "r1", "n": 7, "timestamp": NOW_MS, "event_type": "access_denied", "actor": "bob", "action": "close",
    "resource": "demo-1", "result": "denied", "details": {"rule": "bob: role reader"},
}  # fmt: skip


def stretch(**parts: Any) -> dict[str, Any]:
    return {
        "done": True, "cursor": "c", "progress": [1, 1], "problems": [], "records": 2, "head": "ab", "n": 9,
        "head_found": False,
    } | parts  # fmt: skip


def test_records_are_listed_with_the_rule_that_decided() -> None:
    found = {"records": [RECORD], "truncated": True}
    ran = run_console("audit list --actor bob --since 2026-01-30 --type access_denied -n 1", {"list_audit": found})
    since = NOW_MS - 36 * 3600 * 1000
    assert ran.request == ListAudit(by="bob", since_ms=since, event_type="access_denied", limit=1)
    assert ran.out == "2026-01-31 12:00 access_denied bob close denied demo-1 (bob: role reader)\n"
    assert "more match" in ran.err


def test_without_flags_everybody_is_listed() -> None:
    ran = run_console("audit list --json", {"list_audit": {"records": [RECORD], "truncated": False}})
    assert ran.request == ListAudit()
    assert ran.document == [RECORD]


def test_an_export_is_lines_of_json_that_end_with_the_head() -> None:
    pages = in_turn(
        {"records": [RECORD], "cursor": "more", "head": "", "n": 0},
        {"records": [RECORD | {"n": 8}], "cursor": "", "head": "ab", "n": 9},
    )
    ran = run_console("audit export", {"export_audit": pages})
    assert [getattr(request, "cursor", None) for request in ran.asked] == ["", "more"]
    written = [msgspec.json.decode(line) for line in ran.out.splitlines()]
    assert written == [RECORD, RECORD | {"n": 8}, {"head": "ab", "n": 9}]
    assert "Keep the head elsewhere" in ran.err


def test_a_whole_chain_is_told_with_its_head() -> None:
    ran = run_console("audit verify", {"verify_audit": in_turn(stretch(done=False), stretch())})
    assert ran.asked == [VerifyAudit(), VerifyAudit(cursor="c")]
    assert (ran.code, ran.out) == (exits.OK, "✓ 2 records: signed, linked and without a gap; head ab\n")


def test_problems_of_every_stretch_are_told_and_make_the_command_fail() -> None:
    problem = {"where": "batch from event 3 on of X", "problem": "its signature doesn't fit"}
    answers = in_turn(stretch(done=False, problems=[problem]), stretch())
    ran = run_console("audit verify", {"verify_audit": answers})
    assert ran.code == exits.FAILED
    assert ran.out.splitlines() == [
        "✗ batch from event 3 on of X: its signature doesn't fit", "2 records: 1 problem; head ab",
    ]  # fmt: skip


def test_a_head_that_is_not_met_is_a_problem_and_one_that_is_met_is_none() -> None:
    gone = run_console("audit verify --head ff --json", {"verify_audit": stretch()})
    assert gone.code == exits.FAILED
    assert not gone.document["ok"]
    assert gone.document["problems"][0]["where"] == "ff"
    assert run_console("audit verify --head ff", {"verify_audit": stretch(head_found=True)}).code == exits.OK
