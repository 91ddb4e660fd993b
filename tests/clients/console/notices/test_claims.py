"""What an actor is told with whatever command they run next: on standard error, once, and never to their harm."""

from typing import Any

from moot_protocol.errors import RefusedError
from moot_protocol.requests.claims import ClaimsTold, Heartbeat
from moot_testkit.clients.console import Outcome, issue, run_console
from moot_testkit.clients.terminal import FACTS

LOST = {"lost": [{"id": "bd-1", "holder": "bob\x1b"}, {"id": "bd-2", "holder": ""}], "due": 0}
ALICE = FACTS._replace(environment={"MOOT_ACTOR": "alice"})


def ran(argv: str, claims: dict[str, Any], **answers: Any) -> Outcome:
    known = {"project": "bd", "folder": "", "claims": claims}
    return run_console(argv, {"workspace_info": known, "create": issue(), "claims_told": {}} | answers, facts=ALICE)


def test_who_lost_a_claim_is_told_before_the_commands_own_output() -> None:
    told = ran("q x", LOST)
    assert told.err == (
        "Lost claim: bd-1 is bob^['s, not yours\nLost claim: bd-2 was taken from you, and nobody has it\n"
    )
    assert told.out == "bd-000000000001\n"
    assert told.asked[0] == ClaimsTold(actor="alice", ids=("bd-1", "bd-2"))
    assert told.code == 0


def test_json_stays_one_document() -> None:
    assert ran("q x --json", LOST).document == issue()


def test_what_is_due_is_renewed_with_any_command() -> None:
    renewed = ran("q x", {"lost": [], "due": 1}, heartbeat=[])
    assert renewed.asked[0] == Heartbeat(actor="alice")
    assert renewed.err == ""


def test_quiet_commands_leave_it_to_the_next() -> None:
    assert (ran("q x -q", LOST).err, len(ran("q x -q", LOST).asked)) == ("", 1)


def test_readonly_commands_write_nothing_of_it() -> None:
    told = ran("--readonly count", LOST, count={"total": 1})
    assert (told.err, len(told.asked)) == ("", 1)


def test_a_failure_to_renew_is_no_failure_of_the_command() -> None:
    assert ran("q x", {"lost": [], "due": 1}, heartbeat=RefusedError("no")).code == 0


def test_what_is_due_is_renewed_though_a_loss_could_not_be_noted() -> None:
    refused = RefusedError("full")
    told = ran("q x", LOST | {"due": 1}, claims_told=refused, heartbeat=refused)
    assert told.asked[:2] == [ClaimsTold(actor="alice", ids=("bd-1", "bd-2")), Heartbeat(actor="alice")]
    assert (told.code, told.err.count("Lost claim")) == (0, 2)


def test_where_there_is_nothing_nothing_is_said() -> None:
    assert (ran("q x", {}).err, len(ran("q x", {}).asked)) == ("", 1)
