"""What a request reaches by the names in it: in scripts, in lines of imports, and where an issue is made."""

from pathlib import Path
from typing import Any

import pytest

from moot_protocol.access import Asker
from moot_protocol.action_requests import Rename
from moot_protocol.beads_pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.gate_requests import CreateGate
from moot_protocol.request_base import Request
from moot_protocol.requests import Create, Edge, Import, ImportEdits, IssueFields, Script, Show, WorkspaceInfo
from moot_testkit.doors import ALICE, BOB, RULES, Door, make_door
from moot_testkit.town import PROJECT


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return make_door(tmp_path)


def test_a_script_reaches_by_a_number_only_what_may_be_named(door: Door) -> None:
    door.write(RULES.replace('"no:secret-*"', '"no:issue:delete:demo-*"'))
    by_name: tuple[dict[str, Any], ...] = (
        {"method": "update", "params": {"id": "demo-1"}},
        {"method": "delete", "params": {"id": "$1"}},
    )
    assert door.code(ALICE, Script(actor="alice", steps=by_name[:1])) is None
    assert door.code(ALICE, Script(actor="alice", steps=by_name)) is Code.DENIED


def test_an_issue_is_made_only_where_one_may_be_whatever_it_hangs_on(door: Door) -> None:
    door.write(RULES.replace('"issue:*"', '"issue:*:demo-*"'))
    fields, edges = IssueFields(title="t"), (Edge("demo-1"),)
    steps = ({"method": "create", "params": {"project": "other", "parent": "demo-1", "fields": {"title": "t"}}},)
    elsewhere: tuple[Request[Any], ...] = (
        Create(actor="alice", project="other", fields=fields, edges=edges),
        Create(actor="alice", project="other", fields=fields, parent="demo-1"),
        CreateGate(actor="alice", project="other", await_type="human", blocks=("demo-1",)),
        Script(actor="alice", steps=steps),
        Create(actor="alice", project="secret", fields=fields),
    )
    assert {door.code(ALICE, request) for request in elsewhere} == {Code.DENIED}
    for project, name in (("demo", ""), ("other", "demo-2")):
        assert door.code(ALICE, Create(actor="alice", project=project, id=name, fields=fields, edges=edges)) is None


def test_an_issue_that_would_be_hidden_is_not_made(door: Door) -> None:
    assert door.code(ALICE, Create(actor="alice", project="secret", fields=IssueFields(title="t"))) is Code.DENIED


def test_a_script_reaches_by_a_name_that_it_gives_only_what_may_be_named(door: Door) -> None:
    door.write(RULES.replace('"no:secret-*"', '"no:issue:delete:demo-*"'))
    rename = {"method": "rename", "params": {"id": "demo-1", "alias": "nick"}}
    delete = {"method": "delete", "params": {"id": "nick"}}
    assert door.code(ALICE, Script(actor="alice", steps=(rename, delete))) is Code.DENIED
    assert door.code(ALICE, Rename(actor="alice", id="demo-1", alias="nick")) is None


def test_a_denial_says_which_permissions_are_needed(door: Door) -> None:
    door.write(RULES.replace('"no:secret-*"', '"no:issue:*"'))
    steps = ({"method": "update", "params": {"id": "demo-1"}}, {"method": "delete", "params": {"id": "demo-1"}})
    for uid, request, needed in (
        (ALICE, Show(ids=("demo-1",)), "alice may not `issue:read`: "),
        (ALICE, Script(actor="alice", steps=steps), "alice may not `issue:write`, `issue:delete`: "),
        (4711, WorkspaceInfo(workspace=""), "uid 4711 may not `issue:read`: "),
    ):
        with pytest.raises(RefusedError) as denied:
            door.gate.admit(Asker(uid), request)
        assert denied.value.message.startswith(needed)


def test_a_restriction_covers_what_the_lines_of_an_import_name(door: Door) -> None:
    def imported(line: bytes) -> Code | None:
        edits = ImportEdits(actor="alice", project=PROJECT, pairs=(LinePair(1, line, 0, b""),), delete_missing=True)
        codes = {door.code(ALICE, Import(actor="alice", project=PROJECT, lines=(line,))), door.code(ALICE, edits)}
        assert len(codes) == 1
        return codes.pop()

    assert imported(b'{"id":"demo-1","title":"t"}') is None
    assert imported(b'{"id":"secret-7xyz","title":"t"}') is Code.DENIED
    assert imported(b'{"id":"demo-1","title":"t","assignee":"gastown/polecats/toast"}') is Code.DENIED


def test_whoever_may_not_see_everything_hears_no_names_of_what_may_be_meant(door: Door) -> None:
    for name in ("secret-many1", "demo-many2"):
        door.api.call(Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=name)))
    with pytest.raises(RefusedError) as raised:
        door.gate.admit(Asker(ALICE), Show(ids=("many",)))
    assert (raised.value.code, "secret-" in raised.value.message) == (Code.DENIED, False)
    assert door.code(ALICE, Show(ids=("many2",))) is None
    assert door.code(BOB, Show(ids=("many",))) is None
