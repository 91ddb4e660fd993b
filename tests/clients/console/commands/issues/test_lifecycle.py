"""close, reopen, delete, undelete, defer, undefer, resolve: what is asked of the daemon, what is printed."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import EpicStatus
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import Close, Conflicts, Delete, IssueFields, Reopen, Resolve, Undelete, Update
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.console import Outcome, in_turn, issue, run_console
from moot_testkit.clients.terminal import FACTS

NAMED = "bd-000000000001 — Issue 1"


def close(*argv: str, **more: Any) -> Outcome:
    closed = issue(status="closed", close_reason="Done", _unblocked=["bd-7", "bd-8"])
    return run_console(["close", *argv], {"close": closed, "script": [closed, issue(2, _unblocked=["bd-8"])]}, **more)


def test_close_gives_the_reason_and_tells_what_that_unblocked() -> None:
    ran = close("a1b2", "-r", "Done")
    assert ran.request == Close(actor="unknown", id="a1b2", reason="Done")
    assert ran.out == f"✓ Closed {NAMED}: Done\n  Newly unblocked: bd-7, bd-8\n"


def test_a_molecule_that_is_closed_with_its_last_step_is_told_and_stands_in_no_list_of_its_own() -> None:
    closed = issue(status="closed", close_reason="Done", _unblocked=[], _finished=["bd-mol"])
    ran = run_console("close a1b2", {"close": closed})
    assert ran.out == f"✓ Closed {NAMED}: Done\n✓ Auto-closed completed molecule bd-mol\n"
    assert run_console("close a1b2 --json", {"close": closed}).document == [closed]


def test_closing_an_epic_with_open_children_says_how_many_are_left() -> None:
    def closing_epic(children: int, closed: int, **more: Any) -> Outcome:
        counted = [{"epic": {}, "total_children": children, "closed_children": closed, "eligible_for_close": False}]
        epic = issue(issue_type="epic", status="closed", **more)
        return run_console("close a1b2", {"close": epic, "epic_status": counted})

    ran = closing_epic(3, 1)
    assert (ran.code, ran.err) == (0, f"{NAMED}: 2 of its children are still open\n")
    assert ran.asked[-1] == EpicStatus(ids=("bd-000000000001",))
    assert closing_epic(30_001, 30_000).err == f"{NAMED}: 1 of its children is still open\n"
    assert closing_epic(2, 2).err == ""
    assert closing_epic(1, 0, _unchanged=True).err == ""


def test_where_an_epic_s_children_are_not_counted_those_that_may_be_seen_are() -> None:
    def closing_epic(children: Any) -> Outcome:
        epic, denied = issue(issue_type="epic", status="closed"), RefusedError("no", code=Code.DENIED)
        return run_console("close a1b2", {"close": epic, "epic_status": denied, "children": children})

    children = [issue(2, status="open"), issue(3, status="closed"), issue(4, status="in_progress")]
    ran = closing_epic(Page(issues=children, total=3, truncated=False))
    assert ran.err == f"{NAMED}: 2 of its children are still open\n"
    ran = closing_epic(RefusedError("no", code=Code.DENIED))
    assert (ran.code, ran.err) == (0, "")


def test_without_a_reason_bds_default_is_given() -> None:
    assert close("a1b2").request.reason == "Closed"


def test_close_answers_with_an_array_of_issues() -> None:
    assert [each["id"] for each in close("a1b2", "--json").document] == ["bd-000000000001"]


@pytest.mark.parametrize(
    ("flags", "reasons"),
    [([], ["Closed", "Closed"]), (["-r", "x"], ["x", "x"]), (["-r", "x", "-r", "y"], ["x", "y"])],
)
def test_reasons_are_for_all_or_for_each(flags: list[str], reasons: list[str]) -> None:
    steps = close("a1b2", "c3d4", *flags).request.steps
    assert [step["params"]["reason"] for step in steps] == reasons


def test_what_several_closings_unblock_is_told_once() -> None:
    assert close("a1b2", "c3d4").out.splitlines()[-1] == "  Newly unblocked: bd-7, bd-8"


def test_a_reason_can_come_from_a_file() -> None:
    assert close("a1b2", "--reason-file", "-", stdin=[b"Because\n"]).request.reason == "Because"


def test_force_and_session_are_passed_on() -> None:
    request = close("a1b2", "--force", "--session", "s1").request
    assert (request.force, request.session) == (True, "s1")
    facts = FACTS._replace(environment={"CLAUDE_SESSION_ID": "s2"})
    assert close("a1b2", facts=facts).request.session == "s2"


@pytest.mark.parametrize("argv", [["a", "b", "-r", "x", "-r", "y", "-r", "z"], ["a", "-r", "x", "--reason-file", "f"]])
def test_reasons_that_do_not_fit_are_refused(argv: list[str]) -> None:
    ran = close(*argv)
    assert (ran.code, ran.asked) == (2, [])


def closing(*argv: str, ready: list[dict[str, Any]] | None = None, claimed: Any = None) -> Outcome:
    answers = {
        "close": issue(status="closed", _unblocked=["bd-7"]),
        "ready": Page(issues=ready or [], total=len(ready or []), truncated=False),
        "claim_ready": claimed,
    }
    return run_console(["close", "a1b2", *argv], answers)


def test_the_next_issue_that_nobody_holds_can_be_claimed_at_once() -> None:
    ran = closing("--claim-next", claimed=issue(7))
    assert ran.asked[1:] == [ClaimReady(actor="unknown", filter=Filter(projects=("bd",)))]
    assert ran.out.splitlines()[-1] == "✓ Claimed bd-000000000007 — Issue 7"
    document = closing("--claim-next", "--json", claimed=issue(7)).document
    assert (len(document["closed"]), document["claimed"]["id"]) == (1, issue(7)["id"])


def test_where_others_hold_all_there_is_none_to_claim() -> None:
    assert closing("--claim-next").out.splitlines()[-1] == "  Nothing is ready to be claimed"
    assert closing("--claim-next", "--json").document["claimed"] is None
    assert closing("--claim-next", claimed=RefusedError("broken", code=Code.DENIED)).code == 4


def test_outside_of_a_workspace_there_is_no_next_one_to_claim_and_nothing_is_closed() -> None:
    ran = run_console("close a1b2 --claim-next", facts=FACTS._replace(workspace=""), project="")
    assert (ran.code, ran.asked) == (3, [])
    assert "`moot ready --claim` with --project or --plane" in ran.err


def test_a_trial_claims_nothing() -> None:
    assert len(closing("--claim-next", "--dry-run", ready=[issue(7)]).asked) == 1


def test_what_became_ready_can_stand_beside_what_was_closed() -> None:
    assert closing("--suggest-next", "--json", ready=[]).document["unblocked"] == ["bd-7"]


def test_done_is_close() -> None:
    assert isinstance(run_console("done a1b2", {"close": issue()}).request, Close)


def test_reopen_gives_its_reason() -> None:
    ran = run_console(["reopen", "a1b2", "-r", "Not yet"], {"reopen": issue()})
    assert ran.request == Reopen(actor="unknown", id="a1b2", reason="Not yet")
    assert ran.out == f"↻ Reopened {NAMED}: Not yet\n"
    assert run_console("reopen a1b2 --json", {"reopen": issue()}).document == [issue()]


def test_delete_asks_nothing_and_says_how_to_bring_it_back() -> None:
    ran = run_console("delete a1b2 --reason duplicate", {"delete": issue()})
    assert ran.request == Delete(actor="unknown", id="a1b2", reason="duplicate")
    assert ran.out == f"✓ Deleted {NAMED}\n  Nothing is lost: `moot undelete bd-000000000001` brings it back\n"


def test_delete_answers_for_one_and_for_several_alike_beside_what_bd_answers() -> None:
    one = run_console("delete a1b2 --json", {"delete": issue()}).document
    assert one == {"deleted": "bd-000000000001", "deleted_count": 1, "issue_ids": ["bd-000000000001"]}
    both = ["bd-000000000001", "bd-000000000002"]
    several = run_console("delete a1b2 c3d4 -f --json", {"script": [issue(1), issue(2)]}).document
    assert several == {"deleted": both, "deleted_count": 2, "issue_ids": both}


def test_called_as_bd_delete_answers_as_bd_does() -> None:
    counts = {"dependencies_removed": 0, "references_updated": 0}
    one = run_console("delete a1b2 -f --json", {"show": [issue()], "delete": issue()}, facts=BD).document
    assert one == {"deleted": "bd-000000000001", **counts}
    several = run_console(
        "delete a1b2 c3d4 -f --json", {"show": [issue()], "script": [issue(1), issue(2)]}, facts=BD
    ).document
    assert several == {"deleted": ["bd-000000000001", "bd-000000000002"], "deleted_count": 2, **counts}


def test_a_dry_delete_deletes_nothing() -> None:
    ran = run_console("delete a1b2 --dry-run", {"delete": issue()})
    assert ran.request.dry_run
    assert ran.out == f"Would delete {NAMED}\n"


def test_ids_to_delete_can_come_from_a_file() -> None:
    files = {"ids": b"bd-1\n\n# not this one\n  bd-2\nbd-1\n"}
    ran = run_console("delete bd-0 --from-file ids", {"script": [issue(), issue(2), issue(3)]}, files=files)
    assert [step["params"]["id"] for step in ran.request.steps] == ["bd-0", "bd-1", "bd-2"]
    assert run_console("delete --from-file ids", files={"ids": b"\n"}).code == 2
    assert run_console("delete").code == 2


def test_undelete_brings_back() -> None:
    ran = run_console("undelete a1b2", {"undelete": issue()})
    assert ran.request == Undelete(actor="unknown", id="a1b2")
    assert ran.out == f"✓ Undeleted {NAMED}\n"


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("reopen", "isn't closed"),
        ("undelete", "isn't deleted"),
        ("defer", "is deferred already"),
        ("defer --until tomorrow", "is deferred until 2026-02-01 00:00 already"),
        ("undefer", "isn't deferred"),
        ("close", "is closed already; its reason stays as it was: done"),
    ],
)
def test_where_there_was_nothing_to_do_that_is_said_and_succeeds(command: str, state: str) -> None:
    unchanged = issue(close_reason="done") | {"_unchanged": True}
    answered = dict.fromkeys([command, "update"], unchanged)
    ran = run_console(f"{command} a1b2", answered)
    assert (ran.code, ran.out) == (0, f"Nothing to do: {NAMED} {state}\n")
    assert run_console(f"{command} a1b2 --json", answered).document == [unchanged]


def test_what_is_deleted_already_is_told_apart_from_what_is_deleted_now() -> None:
    gone = issue() | {"_unchanged": True}
    assert run_console("delete a1b2", {"delete": gone}).out == f"Nothing to do: {NAMED} is deleted already\n"
    assert (
        run_console("delete a1b2", {"delete": gone, "show": [gone]}, facts=FACTS._replace(program="bd")).out.count("\n")
        == 1
    )
    both = run_console("delete a1b2 7", {"script": [gone, issue(7)]}).out.splitlines()
    assert both[0] == f"Nothing to do: {NAMED} is deleted already"
    assert both[2] == "  Nothing is lost: `moot undelete bd-000000000007` brings it back"


def test_what_was_deleted_already_is_marked_in_the_document_alone_or_by_its_id_among_several() -> None:
    gone, now = issue() | {"_unchanged": True}, issue(7)
    one = run_console("delete a1b2 --json", {"delete": gone}).document
    assert (one["deleted"], one["_unchanged"]) == (gone["id"], True)
    both = run_console("delete a1b2 7 --json", {"script": [gone, now]}).document
    assert (both["deleted"], both["_unchanged"]) == ([gone["id"], now["id"]], [gone["id"]])
    shown = run_console("delete a1b2 --json", {"delete": gone, "show": [gone]}, facts=BD).document
    assert (shown["issue_ids"], shown["_unchanged"]) == ([gone["id"]], True)


def test_defer_sets_the_status_and_with_until_the_time() -> None:
    ran = run_console("defer a1b2", {"update": issue()})
    asked = Update(
        actor="unknown", id="a1b2", fields=IssueFields(status="deferred", defer_until=""), unless_closed=True
    )
    assert ran.request == asked
    ran = run_console("defer a1b2 --until tomorrow", {"update": issue()})
    assert ran.request.fields == IssueFields(status="deferred", defer_until="2026-02-01T00:00:00Z")
    ran = run_console("defer a1b2 --until 12h", {"update": issue()})
    assert ran.request.fields == IssueFields(status="deferred", defer_until="2026-02-01T00:00:00Z")
    assert ran.out == f"* Deferred {NAMED} until 2026-02-01 00:00\n"


def test_why_something_is_deferred_goes_into_its_notes() -> None:
    assert run_console("defer a1b2 --reason waits", {"update": issue()}).request.append_notes == "waits"


def test_deferring_into_the_past_is_pointed_out() -> None:
    assert "past" in run_console("defer a1b2 --until 2020-01-01", {"update": issue()}).err


def test_undefer_opens_and_forgets_the_time() -> None:
    ran = run_console("undefer a1b2", {"update": issue()})
    assert ran.request.fields == IssueFields(status="open", defer_until="")
    assert ran.out == f"* Undeferred {NAMED} (now open)\n"


@pytest.mark.parametrize("command", ["defer", "undefer"])
def test_closed_issues_are_left_alone_except_as_bd(command: str) -> None:
    assert run_console(f"{command} a1b2", {"update": issue()}).request.unless_closed
    assert not run_console(f"{command} a1b2", {"update": issue()}, facts=BD).request.unless_closed


@pytest.mark.parametrize(
    ("argv", "pick", "value"),
    [
        (["status", "--pick", "v12ab34cd"], "v12ab34cd", None),
        (["status", "--pick", "2"], 2, None),
        (["title", "--value", "Both"], None, "Both"),
        (["title", "--value", "7"], None, "7"),
        (["assignee", "--value="], None, ""),
        (["priority", "--value", "P1"], None, 1),
        (["estimated_minutes", "--value", "30"], None, 30),
    ],
)
def test_resolve_picks_a_value_or_writes_one_of_its_own(argv: list[str], pick: int | str | None, value: object) -> None:
    ran = run_console(["resolve", "a1b2", *argv], {"resolve": issue()})
    assert ran.request == Resolve(actor="unknown", id="a1b2", field=argv[0], pick=pick, value=value)
    assert ran.out == f"✓ Resolved {argv[0]} of {NAMED}\n"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("priority", 2, "2"),
        ("title", "Both\nof them", "Both⏎of them"),
        ("assignee", "", "(empty)"),
        ("metadata.k", {"x": 1}, '{"x":1}'),
        ("deleted", None, "kept"),
        ("deleted", "", "kept"),
        ("deleted", ["ada", "wrong", 1], "deleted"),
    ],
)
def test_resolve_says_which_value_was_taken(field: str, value: object, told: str) -> None:
    settled = issue() | {"_resolved": {"field": field, "value": value}}
    ran = run_console(["resolve", "a1b2", field, "--pick", "1"], {"resolve": settled})
    assert ran.out == f"✓ Resolved {field} of {NAMED}: {told}\n"


def test_a_long_value_can_be_piped_in() -> None:
    ran = run_console("resolve a1b2 description --value - --json", {"resolve": issue()}, stdin=[b"both\n"])
    assert ran.request.value == "both\n"
    assert ran.document == issue()


@pytest.mark.parametrize(
    "argv", ["--pick 1", "title --pick 1 --value x", "title --pick 0", "title --pick x", "priority --value urgent"]
)
def test_a_resolution_that_makes_no_sense_is_refused(argv: str) -> None:
    ran = run_console(f"resolve a1b2 {argv}")
    assert (ran.code, ran.asked) == (2, [])


def test_without_a_choice_the_values_to_choose_from_are_told_and_nothing_is_settled() -> None:
    sibling = {"value": "One", "actor": "ada", "at": "2026-01-01T00:00:00Z"}
    found = [
        {"id": issue()["id"], "field": field, "shown": "One", "values": [sibling, sibling | {"value": "Two"}]}
        for field in ("title", "status")
    ]
    ran = run_console("resolve a1b2 title", {"conflicts": found})
    assert [line.split(" (")[0].strip() for line in ran.out.splitlines()[1:3]] == ["1. One", "2. Two"]
    assert "status" not in ran.out
    assert (ran.code, ran.asked) == (0, [Conflicts(id="a1b2")])
    assert run_console("resolve a1b2 --json", {"conflicts": found}).document == found


# -- As bd -------------------------------------------------------------------------------------------------------
BD = FACTS._replace(program="bd")


def test_as_bd_delete_only_shows_what_it_would_do_until_it_is_forced() -> None:
    shown = issue(dependencies=[{"depends_on_id": issue(3)["id"], "type": "blocks"}], dependents=[issue(2)])
    looked = run_console("delete a1b2 --json", {"show": [shown], "delete": issue()}, facts=BD)
    assert looked.asked[-1] == Delete(actor="unknown", id="a1b2", dry_run=True)
    assert looked.document == {
        "preview": True, "dry_run": False, "issue_ids": ["bd-000000000001"], "cascade": False, "would_delete": 1,
        "would_remove_dependencies": 2,
    }  # fmt: skip
    told = run_console("delete a1b2", {"show": [shown], "delete": issue()}, facts=BD).out
    assert "bd delete bd-000000000001 --force" in told
    forced = run_console("delete a1b2 --force --json", {"show": [shown], "delete": issue()}, facts=BD)
    assert forced.asked[-1] == Delete(actor="unknown", id="a1b2")
    assert forced.document == {"deleted": "bd-000000000001", "dependencies_removed": 2, "references_updated": 0}


def test_what_depends_on_it_goes_too_if_asked_and_each_edge_is_counted_once() -> None:
    def needing(number: int, *others: int) -> dict[str, Any]:
        edges = [{"depends_on_id": issue(other)["id"], "type": "blocks"} for other in others]
        return issue(number, dependencies=edges)

    def dependent(number: int) -> dict[str, Any]:
        return issue(number, dependency_type="blocks")

    shown = in_turn(
        [issue(1, dependents=[dependent(2), dependent(3)])],
        [needing(2, 1) | {"dependents": [dependent(3)]}, needing(3, 1, 2)],
    )
    ran = run_console(
        "delete bd-000000000001 --cascade --json", {"show": shown, "script": [issue(n) for n in (1, 2, 3)]}
    )
    asked: Any = ran.asked[-1]
    assert [step["params"]["id"] for step in asked.steps] == [issue(n)["id"] for n in (1, 2, 3)]
    assert (ran.document["deleted_count"], ran.document["dependencies_removed"]) == (3, 3)
