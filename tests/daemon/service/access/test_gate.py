"""The gate: who gets in by their user id, what is denied, and what is recorded of it."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.access.rules import Asker
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACCESS_TOKEN_USE_MS
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import (
    AddEdge,
    Close,
    Count,
    Create,
    Delete,
    Edge,
    IssueFields,
    Labels,
    ListIssues,
    Ready,
    Script,
    Show,
    Stats,
    Update,
)
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.machine import Events, Ping
from moot_protocol.requests.memories import Memories
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.doors import ALICE, BOB, OWNER, RULES, STRANGER, Door, make_door
from moot_testkit.towns.town import PROJECT
from mootd.engine.machine.access_tokens import create_token, revoke_token
from mootd.engine.unit import Unit
from mootd.service.access.gate import Gate
from mootd.service.access.tokens import Tokens


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return make_door(tmp_path)


def test_who_a_rule_names_gets_in_and_nobody_else(door: Door) -> None:
    assert [door.gate.lets_in(uid) for uid in (OWNER, ALICE, BOB, STRANGER)] == [True, True, True, False]
    assert [door.gate.binds(uid) for uid in (OWNER, ALICE, STRANGER)] == [False, True, True]


def test_without_rules_only_the_owner_gets_in(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert door.gate.lets_in(OWNER)
    assert not door.gate.lets_in(ALICE)
    assert door.code(ALICE, ListIssues()) is Code.DENIED


def test_rules_that_broke_while_somebody_was_connected_deny_everything(door: Door) -> None:
    door.write("users = ")
    assert door.code(ALICE, Show(ids=("demo-1",))) is Code.DENIED
    assert not door.gate.lets_in(ALICE)
    assert door.gate.lets_in(OWNER)


def test_a_request_passes_by_its_users_rules(door: Door) -> None:
    assert door.code(ALICE, Close(actor="alice", id="demo-1")) is None
    assert door.code(ALICE, Close(actor="alice/claude", id="demo-1")) is None
    assert door.code(BOB, Show(ids=("demo-1",))) is None
    assert door.code(BOB, Close(actor="bob", id="demo-1")) is Code.DENIED
    assert door.code(STRANGER, Show(ids=("demo-1",))) is Code.DENIED


def test_nobody_acts_under_anothers_name(door: Door) -> None:
    assert door.code(ALICE, Close(actor="bob", id="demo-1")) is Code.DENIED
    assert door.code(ALICE, Close(actor="alicea", id="demo-1")) is Code.DENIED
    assert door.code(ALICE, Close(actor="carol", id="demo-1")) is Code.DENIED


def test_a_restriction_means_an_issue_however_it_is_typed(door: Door) -> None:
    for typed in ("secret-7xyz", "secret-7"):
        assert door.code(ALICE, Close(actor="alice", id=typed)) is Code.DENIED, typed
    assert door.code(ALICE, Close(actor="alice", id="7xyz")) is Code.NOT_FOUND


def test_a_restriction_covers_everybody_a_request_names(door: Door) -> None:
    fields = IssueFields(title="t", assignee="gastown/polecats/toast")
    assert door.code(ALICE, Create(actor="alice", project=PROJECT, fields=fields)) is Code.DENIED


def test_the_steps_of_a_script_need_their_permissions(door: Door) -> None:
    steps = ({"method": "close", "params": {"id": "demo-1"}},)
    assert door.code(ALICE, Script(actor="alice", steps=steps)) is None
    worse = (*steps, {"method": "remember", "params": {"project": PROJECT, "key": "k", "text": "t"}})
    assert door.code(ALICE, Script(actor="alice", steps=worse)) is Code.DENIED
    hidden = (*steps, {"method": "close", "params": {"id": "secret-7"}})
    assert door.code(ALICE, Script(actor="alice", steps=hidden)) is Code.DENIED


def test_too_many_names_at_once_are_not_looked_through(door: Door) -> None:
    assert door.code(ALICE, Show(ids=tuple(f"demo-{number}" for number in range(100)))) is Code.DENIED


# -- Records -----------------------------------------------------------------------------------------------------
def test_every_decision_is_recorded_in_order_and_allowed_reads_cost_no_commit_of_their_own(door: Door) -> None:
    door.code(ALICE, Close(actor="alice/claude", id="demo-1"))
    for _ in range(2):
        door.code(ALICE, Show(ids=("demo-1",)))
    assert door.commits == 1
    door.code(BOB, Close(actor="bob", id="demo-1"))
    door.code(STRANGER, ListIssues())
    assert door.commits == 3
    assert door.records() == [
        ("access_granted", "alice/claude", "close", "alice/claude, demo-1", "allowed"),
        ("access_granted", "alice", "show", "demo-1", "allowed"),
        ("access_denied", "bob", "close", "bob, demo-1", "denied"),
        ("access_denied", f"uid {STRANGER}", "list", "*", "denied"),
    ]


@pytest.mark.parametrize(("audit", "reads", "own"), [("writes", 0, 0), ("decisions", 1, 0), ("all", 1, 1)])
def test_the_rules_say_whether_reading_is_recorded(door: Door, audit: str, reads: int, own: int) -> None:
    door.write(f'audit = "{audit}"\n{RULES}')
    door.code(BOB, Show(ids=("demo-1",)))
    assert len(door.records()) == reads
    assert door.gate.binds(OWNER) is bool(own)
    door.code(OWNER, Show(ids=("demo-1",)))
    assert len(door.records()) == reads + own


@pytest.mark.parametrize("uid", [OWNER, ALICE])
def test_of_a_subscriptions_further_looks_only_a_denial_is_recorded(door: Door, uid: int) -> None:
    door.write(f'audit = "all"\n{RULES}')
    door.file.rules()
    for again in (False, True, True):
        asyncio.run(door.gate.admit_async(Asker(uid), ListIssues(), again=again))
    assert len(door.records()) == 1
    assert "count" not in door.api.call(ListAudit())["records"][0]["details"]
    door.write('[users.bob]\nrole = "reader"\n')
    with pytest.raises(RefusedError):
        door.gate.admit(Asker(ALICE), ListIssues(), again=True)
    assert len(door.records()) == 2


def test_from_the_loop_it_decides_alike_and_in_a_thread(door: Door) -> None:
    async def ask(uid: int) -> None:
        await door.gate.admit_async(Asker(uid), Show(ids=("demo-1",)))

    asyncio.run(ask(ALICE))
    with pytest.raises(RefusedError):
        asyncio.run(ask(STRANGER))


def test_whom_no_rule_binds_costs_no_look_at_anything(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("the rules were read")

    refuse: Callable[[], None] = fail
    monkeypatch.setattr(door.file, "rules", refuse)
    assert not door.gate.binds(OWNER)
    door.gate.admit(Asker(OWNER), Close(actor="ada", id="demo-1"))
    assert door.asked == []
    assert door.records() == []


# -- Tokens ------------------------------------------------------------------------------------------------------
def token(door: Door, user: str, **more: Any) -> tuple[str, str]:
    text = ""

    def make(unit: Unit) -> str:
        nonlocal text
        made, text = create_token(unit, user, **{"by": "ada", "expires_ms": 0, "note": "", **more})
        return made.id

    return door.api.member.commit(make), text


def refused(door: Door, asker: Asker, request: Request[Any]) -> Code | None:
    try:
        door.gate.admit(asker, request)
    except RefusedError as error:
        return error.code
    return None


def test_a_token_narrows_the_daemons_own_user(door: Door) -> None:
    _, text = token(door, "bob")
    for uid in (OWNER, None):
        asker = Asker(uid, text)
        assert refused(door, asker, Show(ids=("demo-1",))) is None
        assert refused(door, asker, Close(actor="bob", id="demo-1")) is Code.DENIED
        assert refused(door, asker, Close(actor="ada", id="demo-1")) is Code.DENIED
    assert refused(door, Asker(OWNER), Close(actor="ada", id="demo-1")) is None


def test_a_token_never_lets_a_user_id_do_more_than_without_it(door: Door) -> None:
    _, carols = token(door, "carol")
    _, agents = token(door, "alice/claude")
    assert refused(door, Asker(ALICE, carols), Delete(actor="carol", id="demo-1")) is Code.DENIED
    assert refused(door, Asker(STRANGER, carols), Show(ids=("demo-1",))) is Code.DENIED
    assert refused(door, Asker(ALICE, agents), Close(actor="alice/claude", id="demo-1")) is None
    assert refused(door, Asker(ALICE, agents), Close(actor="alice", id="demo-1")) is Code.DENIED
    assert refused(door, Asker(OWNER, carols), Delete(actor="carol", id="demo-1")) is None


def test_of_a_user_and_a_token_for_somebody_who_works_for_them_the_narrower_binds(door: Door) -> None:
    door.write(f"{RULES}\n[users.'alice/claude']\nrole = 'reader'\n")
    _, text = token(door, "alice/claude")
    assert refused(door, Asker(ALICE, text), Show(ids=("demo-1",))) is None
    assert refused(door, Asker(ALICE, text), Close(actor="alice/claude", id="demo-1")) is Code.DENIED
    assert refused(door, Asker(ALICE, text), Show(ids=("secret-7xyz",))) is Code.DENIED
    assert door.gate.user(Asker(ALICE, text)) == "alice/claude"
    swapped = RULES.replace("users.alice", "users.'alice/claude'")
    door.write(f"{swapped}\n[users.alice]\nrole = 'user'\n")
    _, wider = token(door, "alice")
    assert door.gate.user(Asker(ALICE, wider)) == "alice/claude"


def test_a_token_that_is_not_good_has_one_error_and_the_reason_stands_in_the_audit(door: Door) -> None:
    name, text = token(door, "bob", expires_ms=door.api.clock.now_ms() + 10)
    gone, revoked = token(door, "bob")
    door.api.member.commit(lambda unit: revoke_token(unit, gone))
    door.api.clock.advance(10)
    errors = []
    for bad in ("mtk_nothing", text, revoked):
        with pytest.raises(RefusedError) as caught:
            door.gate.user(Asker(OWNER, bad))
        errors.append((caught.value.code, caught.value.message, caught.value.hint))
    assert len(set(errors)) == 1
    assert errors[0][0] is Code.BAD_TOKEN
    details = [each["details"]["rule"] for each in reversed(door.api.call(ListAudit())["records"])]
    assert details == ["token of no form: unknown", f"token {name}: expired", f"token {gone}: revoked"]


def test_revoking_counts_from_the_next_request_on(door: Door) -> None:
    name, text = token(door, "bob")
    assert refused(door, Asker(OWNER, text), Show(ids=("demo-1",))) is None
    door.api.member.commit(lambda unit: revoke_token(unit, name))
    assert refused(door, Asker(OWNER, text), Show(ids=("demo-1",))) is Code.BAD_TOKEN


def test_a_token_of_a_user_without_rules_is_good_for_nothing(door: Door) -> None:
    _, text = token(door, "bob")
    door.write('[users.alice]\nrole = "admin"\n')
    assert refused(door, Asker(OWNER, text), Show(ids=("demo-1",))) is Code.DENIED
    door.file.path.unlink()
    assert refused(door, Asker(OWNER, text), Show(ids=("demo-1",))) is Code.DENIED
    assert refused(door, Asker(OWNER), Show(ids=("demo-1",))) is None


def test_uses_of_a_token_are_recorded_once_an_hour_and_with_every_record(door: Door) -> None:
    name, text = token(door, "alice")
    asker = Asker(OWNER, text)
    for _ in range(2):
        refused(door, asker, Show(ids=("demo-1",)))
    refused(door, asker, Close(actor="alice", id="demo-1"))
    door.api.clock.advance(ACCESS_TOKEN_USE_MS)
    refused(door, asker, Close(actor="bob", id="demo-1"))
    assert door.records() == [
        ("token_used", "alice", "show", name, "allowed"),
        ("access_granted", "alice", "show", "demo-1", "allowed"),
        ("access_granted", "alice", "close", "alice, demo-1", "allowed"),
        ("token_used", "alice", "close", name, "allowed"),
        ("access_denied", "alice", "close", "bob, demo-1", "denied"),
    ]
    assert {each["details"]["token"] for each in door.api.call(ListAudit())["records"]} == {name}


def test_who_says_nothing_of_who_acts_acts_as_their_user(door: Door) -> None:
    _, text = token(door, "alice/claude")
    assert door.gate.user(Asker(OWNER)) == ""
    assert door.gate.user(Asker(ALICE)) == "alice"
    grant = door.gate.admit(Asker(OWNER, text), Close(actor="", id="demo-1"))
    assert grant.request == Close(actor="alice/claude", id="demo-1")
    assert door.gate.admit(Asker(OWNER), Close(actor="", id="demo-1")).request == Close(actor="", id="demo-1")


# -- What is seen ------------------------------------------------------------------------------------------------
SCOPED = f"""
[users.alice]
role = "user"
uids = [{ALICE}]
restrictions = ["no:secret-*"]

[users.ci]
role = "service_account"
uids = [{BOB}]
permissions = ["issue:*:demo*", "claim:*:demo*"]
"""


def asked(door: Door, uid: int, request: Request[Any]) -> Any:
    grant = door.gate.admit(Asker(uid), request)
    return door.gate.narrow(grant, door.api.call(grant.request))


def shown(door: Door, uid: int, request: Request[Page]) -> list[str]:
    return [each["id"] for each in asked(door, uid, request).issues]


@pytest.mark.parametrize("uid", [ALICE, BOB])
def test_lists_show_what_could_be_shown_by_itself(door: Door, uid: int) -> None:
    door.write(SCOPED)
    assert shown(door, uid, ListIssues()) == ["demo-1"]
    assert shown(door, uid, ListIssues(filter=Filter(projects=(PROJECT,)), limit=1)) == ["demo-1"]
    assert shown(door, uid, Ready()) == ["demo-1"]
    assert [json.loads(line)["id"] for line in asked(door, uid, Export())["lines"]] == ["demo-1"]
    assert {each["entity"] for each in asked(door, uid, Events())["events"] if each["kind"] == "issue"} == {"demo-1"}
    assert len(asked(door, OWNER, ListIssues()).issues) == 2


@pytest.mark.parametrize("uid", [ALICE, BOB])
def test_what_cannot_be_shown_in_part_is_denied_to_whom_some_is_hidden(door: Door, uid: int) -> None:
    door.write(SCOPED)
    for request in (Count(), Stats(), Labels(), Count(filter=Filter(ids=("demo-1",)))):
        assert door.code(uid, request) is Code.DENIED, request


def test_a_restriction_on_something_else_leaves_lists_and_counts_whole(door: Door) -> None:
    door.write(SCOPED.replace("no:secret-*", "no:issue:delete"))
    assert asked(door, ALICE, Count())["total"] == 2
    assert sorted(shown(door, ALICE, ListIssues())) == ["demo-1", "secret-7xyz"]
    assert door.code(ALICE, Delete(actor="alice", id="demo-1")) is Code.DENIED


def test_where_a_list_looks_must_not_be_taken_away(door: Door) -> None:
    door.write(SCOPED.replace("no:secret-*", "no:*secret*"))
    assert door.code(ALICE, ListIssues(filter=Filter(projects=("secret",)))) is Code.DENIED
    assert door.code(ALICE, ListIssues(filter=Filter(assignee="secret/agent"))) is Code.DENIED
    assert door.code(ALICE, ListIssues(filter=Filter(parent="7xyz"))) is Code.NOT_FOUND
    assert door.code(BOB, ListIssues(filter=Filter(parent="7xyz"))) is Code.DENIED
    assert door.code(BOB, Memories(project=PROJECT)) is Code.DENIED


def test_a_permission_with_a_resource_is_enough_to_write_to_it(door: Door) -> None:
    door.write(SCOPED)
    fields = IssueFields(title="t", assignee="bob")
    assert door.code(BOB, Create(actor="ci", project=PROJECT, fields=fields)) is None
    assert door.code(BOB, Create(actor="ci", project="other", fields=fields)) is Code.DENIED
    assert door.code(BOB, Update(actor="ci", id="demo-1", fields=fields)) is None
    assert door.code(BOB, Update(actor="ci", id="7xyz", fields=fields)) is Code.DENIED
    assert door.code(BOB, AddEdge(actor="ci", id="demo-1", edge=Edge(to="7xyz"))) is Code.DENIED
    assert door.code(ALICE, AddEdge(actor="alice", id="demo-1", edge=Edge(to="7xyz"))) is Code.NOT_FOUND


def test_each_step_of_a_script_is_decided_by_itself(door: Door) -> None:
    door.write(SCOPED)
    close = {"method": "close", "params": {"id": "demo-1"}}
    create: dict[str, Any] = {"method": "create", "params": {"project": "other", "fields": {"title": "t"}}}
    edge = {"method": "add_edge", "params": {"id": "demo-1", "edge": {"to": "$1"}}}
    assert door.code(BOB, Script(actor="ci", steps=(close, edge))) is None
    assert door.code(BOB, Script(actor="ci", steps=(close, create))) is Code.DENIED
    take = {"method": "claim_ready", "params": {}}
    assert door.code(BOB, Script(actor="ci", steps=(close, take))) is Code.DENIED


def test_a_claim_of_whatever_is_ready_takes_only_what_is_seen(door: Door) -> None:
    door.write(SCOPED)
    urgent = IssueFields(title="secret-0 is urgent", priority=0)
    door.api.call(Create(actor="ada", project=PROJECT, id="secret-0", fields=urgent))
    assert asked(door, BOB, ClaimReady(actor="ci"))["id"] == "demo-1"
    door.api.call(Close(actor="ci", id="demo-1"))
    assert asked(door, BOB, ClaimReady(actor="ci")) is None


def test_a_claim_of_whatever_is_ready_that_comes_again_under_its_key_is_answered_as_before(door: Door) -> None:
    door.write(SCOPED)
    claim = ClaimReady(actor="ci")
    first, again = (door.api.call(door.gate.admit(Asker(BOB), claim).request, "key") for _ in range(2))
    assert again == first
    assert first["id"] == "demo-1"


def test_pages_of_hidden_events_are_passed_over(door: Door) -> None:
    door.write(SCOPED)
    start = asked(door, BOB, Events(since=None))["next"]
    for number in range(3):
        fields = IssueFields(title="t", assignee="bob")
        door.api.call(Update(actor="ada", id="secret-7xyz", fields=fields, append_notes=str(number)))
    door.api.call(Update(actor="ada", id="demo-1", append_notes="n"))
    page = asked(door, BOB, Events(since=start, limit=1))
    assert [each["entity"] for each in page["events"]] == ["demo-1"]
    last = asked(door, BOB, Events(since=page["next"], limit=1))
    assert (last["events"], last["next"]) == ([], page["next"])


def test_answers_are_narrowed_alike_from_the_loop(door: Door) -> None:
    door.write(SCOPED)

    async def ask(uid: int) -> Page:
        grant = await door.gate.admit_async(Asker(uid), ListIssues())
        page: Page = await door.gate.narrow_async(grant, door.api.call(ListIssues()))
        assert await door.gate.user_async(Asker(BOB)) == "ci"
        return page

    assert [len(asyncio.run(ask(uid)).issues) for uid in (ALICE, OWNER)] == [1, 2]


async def test_who_asks_before_all_is_loaded_keeps_no_thread_from_loading_it(door: Door) -> None:
    loop, threads, tokens = asyncio.get_running_loop(), ThreadPoolExecutor(1), Tokens(door.api.member.replica)
    there, loaded = threading.Event(), asyncio.Event()

    def read(request: Request[Any]) -> object:
        assert there.wait(2), "it is loaded by the thread that waits for it"
        return door.api.call(request)

    async def until_loaded() -> None:
        await loaded.wait()

    gate = Gate(door.file, OWNER, read, door.gathering, threads, tokens, until_loaded)
    asked = loop.create_task(gate.admit_async(Asker(ALICE), Show(ids=("demo-1",))))
    with pytest.raises(RefusedError):
        await gate.admit_async(Asker(STRANGER), Ping())
    await loop.run_in_executor(threads, there.set)
    loaded.set()
    assert (await asked).asked == Show(ids=("demo-1",))
