"""The gate: who gets in by their user id, what is denied, and what is recorded of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.audit_requests import ListAudit
from moot_protocol.errors import Code, RefusedError
from moot_protocol.request_base import Request
from moot_protocol.requests import Close, Create, IssueFields, ListIssues, Script, Show
from moot_testkit.town import PROJECT, Api, make_api
from mootd.edges.access_file import AccessFile
from mootd.service.gate import Gate

OWNER, ALICE, BOB, STRANGER = 1, 1000, 1001, 1002
RULES = f"""
[users.alice]
role = "user"
uids = [{ALICE}]
permissions = ["issue:*"]
restrictions = ["no:secret-*", "no:*polecat*"]

[users.bob]
role = "reader"
uids = [{BOB}]

[users.carol]
role = "admin"
"""


class Door:
    """A gate before a service, with a file of rules."""

    def __init__(self, folder: Path) -> None:
        self.api: Api = make_api()
        self.file = AccessFile(folder / "access.toml")
        self.asked: list[Request[Any]] = []
        self.gate = Gate(self.file, OWNER, self._read, self.api.member.commit, ThreadPoolExecutor(1))

    def _read(self, request: Request[Any]) -> object:
        self.asked.append(request)
        return self.api.call(request)

    def write(self, text: str) -> None:
        self.file.path.write_text(text)
        self.file.path.chmod(0o600)

    def code(self, uid: int, request: Request[Any]) -> Code | None:
        try:
            self.gate.admit(uid, request)
        except RefusedError as error:
            return error.code
        return None

    def records(self) -> list[tuple[str, str, str, str, str]]:
        found = self.api.call(ListAudit())["records"]
        names = ("event_type", "actor", "action", "resource", "result")
        return [tuple(each[name] for name in names) for each in reversed(found)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    tmp_path.chmod(0o700)
    door = Door(tmp_path)
    door.write(RULES)
    door.file.rules()
    for name in ("demo-1", "secret-7xyz"):
        fields = IssueFields(title=name)
        door.api.call(Create(actor="ada", project=PROJECT, id=name, fields=fields))
    return door


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
    for typed in ("secret-7xyz", "secret-7", "7xyz"):
        assert door.code(ALICE, Close(actor="alice", id=typed)) is Code.DENIED, typed


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
def test_every_denial_and_what_writes_are_recorded_and_reading_is_not(door: Door) -> None:
    door.code(ALICE, Close(actor="alice/claude", id="demo-1"))
    door.code(ALICE, Show(ids=("demo-1",)))
    door.code(BOB, Close(actor="bob", id="demo-1"))
    door.code(STRANGER, ListIssues())
    assert door.records() == [
        ("access_granted", "alice/claude", "close", "alice/claude, demo-1", "allowed"),
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


def test_from_the_loop_it_decides_alike_and_in_a_thread(door: Door) -> None:
    async def ask(uid: int) -> None:
        await door.gate.admit_async(uid, Show(ids=("demo-1",)))

    asyncio.run(ask(ALICE))
    with pytest.raises(RefusedError):
        asyncio.run(ask(STRANGER))


def test_whom_no_rule_binds_costs_no_look_at_anything(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("the rules were read")

    refuse: Callable[[], None] = fail
    monkeypatch.setattr(door.file, "rules", refuse)
    assert not door.gate.binds(OWNER)
    door.gate.admit(OWNER, Close(actor="ada", id="demo-1"))
    assert door.asked == []
    assert door.records() == []
