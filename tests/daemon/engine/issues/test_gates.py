"""Gates hold issues up until they are closed, and know who waits."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.limits import WAITERS_OF_ISSUE
from moot_protocol.requests.gates import Await, CreateGate, SetAwaited
from moot_protocol.requests.issues import Close
from moot_testkit.towns.engine import PROJECT, Desk


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-one")
    made.create("mt-two")
    return made


def gate(desk: Desk, await_type: str = "human", **parts: Any) -> dict[str, Any]:
    return desk.do(CreateGate(actor="alice", project=PROJECT, await_type=await_type, **parts))


def test_what_it_blocks_waits_until_it_is_closed(desk: Desk) -> None:
    made = gate(desk, blocks=("mt-one", "mt-one"), reason="Legal")
    assert (made["issue_type"], made["await_type"], made["description"]) == ("gate", "human", "Legal")
    assert desk.ready() == ["mt-two"]
    assert desk.blocked() == ["mt-one"]
    desk.do(Close(actor="alice", id=made["id"]))
    assert sorted(desk.ready()) == ["mt-one", "mt-two"]


def test_its_fields_have_the_names_and_units_of_beads(desk: Desk) -> None:
    made = gate(desk, "timer", timeout_ms=1500, title="Rest")
    assert (made["title"], made["timeout"]) == ("Rest", 1_500_000_000)
    assert "await_id" not in made
    awaited = gate(desk, "bead", await_id="mt-one")
    assert (awaited["await_id"], awaited["title"]) == ("mt-one", "Gate: bead mt-one")
    assert gate(desk, "gh:pr", await_id="42")["await_id"] == "42"


@pytest.mark.parametrize(
    ("parts", "code"),
    [({"await_type": "weather"}, Code.INVALID), ({"await_type": "timer"}, Code.USAGE),
     ({"await_type": "gh:pr"}, Code.USAGE), ({"await_type": "issue", "await_id": "mt-none"}, Code.NOT_FOUND),
     ({"await_type": "human", "blocks": ("mt-one", "mt-none")}, Code.NOT_FOUND),
     ({"await_type": "timer", "timeout_ms": 2**60}, Code.LIMIT),
     ({"await_type": "gh:pr", "await_id": "x" * 300}, Code.LIMIT)],
)  # fmt: skip
def test_what_makes_no_sense_makes_nothing(desk: Desk, parts: dict[str, Any], code: Code) -> None:
    assert desk.refusal(CreateGate(actor="alice", project=PROJECT, **parts)) is code


def test_the_number_of_a_run_may_be_found_out_later(desk: Desk) -> None:
    made = gate(desk, "gh:run")
    assert "await_id" not in made
    told = desk.do(SetAwaited(actor="alice", id=made["id"], await_id=" 42 "))
    assert told["await_id"] == "42"
    before = desk.log_length()
    assert desk.do(SetAwaited(actor="alice", id=made["id"], await_id="42")) == told | {"_unchanged": True}
    assert desk.log_length() == before


@pytest.mark.parametrize(
    ("issue", "await_id", "code"),
    [("mt-one", "42", Code.CONFLICT), ("mt-none", "42", Code.NOT_FOUND), ("", " ", Code.USAGE)],
)
def test_only_a_gate_waits_for_something_and_for_something_it_is(
    desk: Desk, issue: str, await_id: str, code: Code
) -> None:
    made = gate(desk, "gh:run")
    assert desk.refusal(SetAwaited(actor="alice", id=issue or made["id"], await_id=await_id)) is code


def waiters(desk: Desk, waiter: str, *, remove: bool = False) -> Any:
    return desk.do(Await(actor="alice", id="mt-one", waiter=waiter, remove=remove)).get("waiters")


def test_waiters_stand_in_line_once_each_and_can_leave(desk: Desk) -> None:
    assert waiters(desk, "bob") == ["bob"]
    assert waiters(desk, "alice ") == ["bob", "alice"]
    assert waiters(desk, "bob") == ["bob", "alice"]
    assert waiters(desk, "bob", remove=True) == ["alice"]
    assert waiters(desk, "bob", remove=True) == ["alice"]
    assert waiters(desk, "alice", remove=True) is None


@pytest.mark.parametrize("remove", [False, True])
def test_who_stands_where_they_should_already_is_told_as_such_and_nothing_is_written(
    desk: Desk, *, remove: bool
) -> None:
    again = Await(actor="alice", id="mt-one", waiter="bob", remove=remove)
    if not remove:
        assert "_unchanged" not in desk.do(again)
    before = desk.log_length()
    assert desk.do(again)["_unchanged"] is True
    assert desk.log_length() == before


def test_nobody_and_too_many_are_refused(desk: Desk) -> None:
    assert desk.refusal(Await(actor="alice", id="mt-one", waiter=" ")) is Code.USAGE
    for number in range(WAITERS_OF_ISSUE):
        waiters(desk, f"w{number}")
    assert desk.refusal(Await(actor="alice", id="mt-one", waiter="one more")) is Code.LIMIT
