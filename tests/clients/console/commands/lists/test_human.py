"""human: what waits for a human, answered or dismissed."""

import pytest

from moot_protocol.requests.issues import Close, Script
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import issue, run_console

WAITING = issue(1, labels=["human"])
ID = WAITING["id"]


def page(*issues: dict[str, object]) -> Page:
    return Page(issues=list(issues), total=len(issues), truncated=False, short=[4] * len(issues))


def test_what_waits_is_what_has_the_label() -> None:
    ran = run_console("human list --json", {"list": page(WAITING)})
    assert (ran.request.filter.labels, ran.request.filter.projects, ran.request.all) == (("human",), ("bd",), False)
    assert ran.document == [WAITING]
    assert "Issue 1" in run_console("human list", {"list": page(WAITING)}).out
    assert run_console("human list --status all", {"list": page()}).request.all is True
    assert run_console("human list --status open,blocked", {"list": page()}).request.filter.statuses == (
        "open",
        "blocked",
    )


def test_an_answer_becomes_a_comment_and_closes_the_issue() -> None:
    answers = {"show": [WAITING], "script": [{}, WAITING | {"status": "closed"}]}
    ran = run_console(["human", "respond", ID, "Use", "OAuth", "--json"], answers)
    script = ran.asked[1]
    assert isinstance(script, Script)
    assert [step["params"].get("text", step["params"].get("reason")) for step in script.steps] == [
        "Response: Use OAuth", "Responded",
    ]  # fmt: skip
    assert ran.document[0]["status"] == "closed"
    ran = run_console(["human", "respond", ID, "--file", "a.md"], answers, files={"a.md": b"Approved\n"})
    assert ran.asked[1].steps[0]["params"]["text"] == "Response: Approved"


@pytest.mark.parametrize("flags", ["", "-r", "yes -r no", "--response= "])
def test_an_answer_is_one_text(flags: str) -> None:
    assert run_console(f"human respond {ID} {flags}", {"show": [WAITING]}).code == 2


def test_an_issue_is_dismissed_with_a_reason_or_without() -> None:
    answers = {"show": [WAITING], "close": WAITING | {"status": "closed"}}
    assert run_console(f"human dismiss {ID}", answers).asked[1] == Close(
        actor="unknown", id=ID, reason="Dismissed", force=True
    )
    ran = run_console(f"human dismiss {ID} no longer needed", answers)
    assert ran.asked[1].reason == "Dismissed: no longer needed"


def test_what_is_closed_is_refused_and_what_never_waited_is_told_of() -> None:
    assert run_console(f"human dismiss {ID}", {"show": [WAITING | {"status": "closed"}]}).code == 5
    ran = run_console(f"human dismiss {ID}", {"show": [issue(1)], "close": issue(1)})
    assert (ran.code, "does not have the label" in ran.err) == (0, True)


def test_statistics_tell_pending_answered_and_dismissed() -> None:
    issues = [WAITING, WAITING | {"status": "blocked"}]
    issues += [WAITING | {"status": "closed", "close_reason": why} for why in ("Responded", "Dismissed: no", "fixed")]
    ran = run_console("human stats --json", {"list": page(*issues)})
    assert ran.document == {"total": 5, "pending": 2, "responded": 2, "dismissed": 1}
    assert "  Pending:    2" in run_console("human stats", {"list": page(*issues)}).out


def test_alone_it_lists_what_people_need_most() -> None:
    assert "moot ready" in run_console("human").out


def test_an_answer_that_completes_a_molecule_tells_so() -> None:
    ran = run_console(f"human dismiss {ID}", {"show": [WAITING], "close": WAITING | {"_finished": ["bd-mol"]}})
    assert ran.out.splitlines()[-1] == "✓ Auto-closed completed molecule bd-mol"
