"""What a queued command is expected to answer: in the shape of the daemon's answer, and marked."""

from contextlib import suppress
from typing import Any

import pytest

from moot.console.context import script_step
from moot.spool.expected import Expectation
from moot_protocol.errors import RefusedError
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim, WriteHandoff
from moot_protocol.requests.gates import Await, CreateGate
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    Edge,
    IssueFields,
    RemoveEdge,
    Reopen,
    Resolve,
    Script,
    Show,
    Undelete,
    Update,
)
from moot_protocol.requests.memories import Forget, Remember
from moot_protocol.spool.files import ALLOWED
from moot_testkit.towns.spooling import create
from moot_testkit.towns.town import PROJECT, Api, make_api

ONE, TWO = "demo-one1", "demo-two2"
EACH: list[Mutation[Any]] = [
    create("new", id="demo-new3", labels=("b", "a"), metadata={"k": 1}),
    Update(actor="ada", id=ONE, claim=True, add_labels=("x",), fields=IssueFields(priority=0)),
    Close(actor="ada", id=ONE, reason="done"),
    Reopen(actor="ada", id=ONE),
    Delete(actor="ada", id=ONE),
    Undelete(actor="ada", id=ONE),
    Resolve(actor="ada", id=ONE, field="title", pick=1),
    SetState(actor="ada", id=ONE, dimension="phase", value="two"),
    AddEdge(actor="ada", id=ONE, edge=Edge(TWO)),
    RemoveEdge(actor="ada", id=ONE, to=TWO),
    AddComment(actor="ada", id=ONE, text="hello"),
    Unclaim(actor="ada", id=ONE),
    Heartbeat(actor="ada", id=ONE, ttl_ms=60_000),
    WriteHandoff(actor="ada", id=ONE, next="go on", decisions=("LMDB",), head="c0ffee1"),
    CreateGate(actor="ada", project=PROJECT, await_type="human", blocks=(ONE,), title="Ask"),
    Await(actor="ada", id=ONE, waiter="bob"),
    Remember(actor="ada", project=PROJECT, key="k", text="t"),
    Forget(actor="ada", project=PROJECT, key="k"),
]
FIRST: dict[str, Mutation[Any]] = {
    "remove_edge": AddEdge(actor="ada", id=ONE, edge=Edge(TWO)),
    "undelete": Delete(actor="ada", id=ONE),
    "forget": Remember(actor="ada", project=PROJECT, key="k", text="t"),
    "heartbeat": Update(actor="ada", id=ONE, claim=True),
}
"""What has to be done before."""
NAMED_BY_THE_DAEMON = {"add_comment", "write_handoff", "create_gate"}
KNOWN = {
    ONE: {"id": ONE, "title": "One", "status": "open", "priority": 2, "issue_type": "task", "labels": ["phase:one"]}
}


def expected(request: Mutation[Any]) -> Any:
    return Expectation(KNOWN.get, 1_700_000_000_000, "c0ffee").of(request)


def test_every_request_that_may_come_through_a_spool_has_an_expected_answer() -> None:
    # The first is refused unless it is waited for, the second nobody asks for.
    assert {type(request) for request in EACH} == ALLOWED - {ClaimReady, ClaimsTold}


@pytest.mark.parametrize("request_", EACH, ids=lambda request: request.method)
def test_an_expected_answer_has_what_the_daemons_has_and_says_that_it_is_queued(request_: Mutation[Any]) -> None:
    api = make_api()
    api.call(create("One", id=ONE, labels=("phase:one",)))
    api.call(create("Two", id=TWO))
    if request_.method in FIRST:
        api.call(FIRST[request_.method])
    found = expected(request_)
    (found,) = found if isinstance(found, list) else [found]
    assert found["_queued"] == "c0ffee"
    if request_.method == "resolve":
        return  # there is no conflict to settle here
    told = api.call(request_)
    (told,) = told if isinstance(told, list) else [told]
    assert {"id", "title", "status", "priority", "issue_type"} & told.keys() <= found.keys()
    for name in ("id", "status", "assignee", "priority", "labels", "title", "issue_id", "depends_on_id", "type", "key"):
        if name in told and not (name == "id" and request_.method in NAMED_BY_THE_DAEMON):
            assert found.get(name) == told[name], name


def test_steps_of_a_script_may_name_what_earlier_ones_make() -> None:
    steps = (
        {"method": "create", "params": {"project": PROJECT, "id": "demo-new3", "fields": {"title": "New"}}},
        {"method": "add_edge", "params": {"id": "$1", "edge": {"to": ONE}}},
        {"method": "close", "params": {"id": "$1"}},
    )
    made, edge, closed = expected(Script(actor="ada", steps=steps))
    assert (made["id"], edge["issue_id"], closed["id"]) == ("demo-new3",) * 3
    assert (closed["title"], closed["status"]) == ("New", "closed")


@pytest.mark.parametrize("earlier", [step for step in EACH if step.method in {"heartbeat", "add_edge", "remember"}])
def test_a_step_that_answers_no_issue_is_named_by_none(earlier: Mutation[Any]) -> None:
    steps = (script_step(earlier, "1"), {"method": "close", "params": {"id": "$1"}})
    assert expected(Script(actor="ada", steps=steps))[1]["id"] == "$1"


def test_of_an_issue_that_is_not_known_only_its_id_is_told() -> None:
    found = expected(Create(actor="a", project=PROJECT, id="demo-x", fields=IssueFields(title="t")))
    assert found["status"] == "open"
    assert expected(Close(actor="a", id="demo-unknown"))["title"] == ""


STANDING: dict[str, IssueFields] = {
    "nobody's": IssueFields(),
    "the actor's": IssueFields(assignee="ada", status="in_progress"),
    "another's": IssueFields(assignee="bob", status="in_progress"),
    "assigned to another": IssueFields(assignee="bob"),
    "blocked and the actor's": IssueFields(assignee="ada", status="blocked"),
    "closed": IssueFields(status="closed"),
    "closed and the actor's": IssueFields(status="closed", assignee="ada"),
}
CLAIMING: dict[str, Mutation[Any]] = {
    "claim": Update(actor="ada", id=ONE, claim=True, fields=IssueFields(priority=0)),
    "unclaim": Unclaim(actor="ada", id=ONE),
    "unclaim_own": Unclaim(actor="ada", id=ONE, if_holder="ada"),
    "heartbeat": Heartbeat(actor="ada", id=ONE, ttl_ms=60_000),
    "reopen": Reopen(actor="ada", id=ONE),
    "defer": Update(actor="ada", id=ONE, fields=IssueFields(priority=0), unless_closed=True),
}


@pytest.mark.parametrize("standing", STANDING)
@pytest.mark.parametrize("named", CLAIMING)
def test_what_becomes_of_a_claim_is_foretold_by_the_daemon_s_rules(standing: str, named: str) -> None:
    agree(make_api(), CLAIMING[named], STANDING[standing])


@pytest.mark.parametrize("passed_ms", [1, 60_001])
def test_another_s_claim_that_has_ended_is_to_be_had(passed_ms: int) -> None:
    api = make_api()
    api.call(create("One", id=ONE))
    api.call(Update(actor="bob", id=ONE, claim=True, ttl_ms=60_000))
    api.member.clock.advance(passed_ms)
    agree(api, CLAIMING["claim"])


def agree(api: Api, request: Mutation[Any], fields: IssueFields | None = None) -> None:
    """Check that what is expected of an issue is what the daemon leaves of it, be it that it refuses."""
    if fields is not None:
        api.call(create("One", id=ONE))
        api.call(Update(actor="zoe", id=ONE, fields=fields))
    (before,) = api.call(Show(ids=(ONE,)))
    foretold = Expectation({ONE: before}.get, api.member.clock.now_ms(), "c0ffee").of(request)
    with suppress(RefusedError):
        told = api.call(request)
        if isinstance(request, Heartbeat):
            assert foretold[0]["renewed"] == told[0]["renewed"]
            return
    if isinstance(request, Heartbeat):
        assert not foretold[0]["renewed"]
        return
    (after,) = api.call(Show(ids=(ONE,)))
    for name in ("status", "assignee", "priority"):
        assert (foretold.get(name) or "") == (after.get(name) or ""), name
    if after["updated_at"] == before["updated_at"]:
        assert foretold["updated_at"] == before["updated_at"]
