"""What a request reaches by the names in it: in scripts, in lines of imports, and where an issue is made."""

from pathlib import Path
from typing import Any

import pytest

from moot_protocol.access.rules import Asker
from moot_protocol.beads.pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.base import Request
from moot_protocol.requests.gates import CreateGate, SetAwaited
from moot_protocol.requests.issues import (
    AddEdge,
    Close,
    Create,
    Edge,
    InitProject,
    IssueFields,
    Script,
    Show,
    WorkspaceInfo,
)
from moot_protocol.requests.leases import Rebalance
from moot_protocol.requests.mail import SendMail
from moot_protocol.requests.membership import CreateTown, RemoveTown, RetireReplica, SettleFork
from moot_protocol.requests.transfer import Import, ImportEdits
from moot_testkit.towns.doors import ALICE, BOB, RULES, Door, make_door
from moot_testkit.towns.town import PROJECT


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return make_door(tmp_path)


def asked(door: Door, uid: int, request: Request[Any]) -> Any:
    """What a request is answered to somebody, or how it is refused, as a connection does it."""
    grant = door.gate.admit(Asker(uid), request)
    with door.gate.telling(grant):
        answer = door.api.call(grant.request)
    return door.gate.narrow(grant, answer)


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


def test_a_guess_that_means_a_hidden_issue_is_answered_as_one_that_means_none(door: Door) -> None:
    for request in (Show(ids=("7xyz",)), Show(ids=("9xyz",))):
        with pytest.raises(RefusedError) as raised:
            asked(door, ALICE, request)
        typed = request.ids[0]
        assert (raised.value.code, raised.value.message) == (Code.NOT_FOUND, f"no issue {typed}")
        assert raised.value.hint.startswith("give the whole id")
    assert ("access_denied", "alice", "show", "7xyz", "denied") in door.records()
    door.write(RULES.replace("no:secret-*", "no:issue:write:secret-*"))
    assert asked(door, ALICE, Show(ids=("7xyz",)))[0]["id"] == "secret-7xyz"
    assert door.code(ALICE, Close(actor="alice", id="7xyz")) is Code.DENIED, "it is seen, so it may be spoken of"


def test_what_a_gate_waits_for_has_to_be_granted_where_it_is_an_issue(door: Door) -> None:
    def waiting_for(kind: str, awaited: str) -> Code | None:
        return door.code(ALICE, CreateGate(actor="alice", project=PROJECT, await_type=kind, await_id=awaited))

    assert waiting_for("issue", "demo-1") is waiting_for("gh:run", "4711") is None
    assert waiting_for("issue", "7xyz") is Code.NOT_FOUND
    assert {waiting_for(kind, "secret-7xyz") for kind in ("issue", "bead", "gh:run")} == {Code.DENIED}
    assert door.code(ALICE, SetAwaited(actor="alice", id="demo-1", await_id="secret-7xyz")) is Code.DENIED
    door.write(RULES.replace('"issue:*"', '"issue:*:demo*"'))
    assert waiting_for("gh:run", "4711") is None
    assert waiting_for("bead", "other-1") is Code.DENIED


def test_a_grant_on_a_project_is_none_on_a_plane_of_that_name(door: Door) -> None:
    door.write(RULES.replace('"issue:*"', '"issue:*:demo*", "member:admin:demo"').replace('"user"', '"admin"'))
    fields = IssueFields(title="t")
    assert door.code(ALICE, Create(actor="alice", project="other", plane="demo", fields=fields)) is Code.DENIED
    assert door.code(ALICE, InitProject(actor="alice", prefix="other", workspace="demo", plane="demo")) is Code.DENIED
    assert door.code(ALICE, RemoveTown(actor="alice", town="demo", plane="other")) is Code.DENIED
    assert door.code(ALICE, RemoveTown(actor="alice", town="demo")) is Code.DENIED, "that is on all planes"
    assert door.code(ALICE, RemoveTown(actor="alice", town="rival", plane="demo")) is None


NAMED_OTHERWISE = ("hill", "key", "beginning", "both")


@pytest.mark.parametrize("ruled", NAMED_OTHERWISE)
@pytest.mark.parametrize("typed", NAMED_OTHERWISE)
def test_a_rule_about_a_town_holds_by_whatever_name_the_town_is_meant(door: Door, ruled: str, typed: str) -> None:
    made = door.api.call(CreateTown(actor="ada", name="hill"))
    key = made["town"]
    ways = {"hill": "hill", "key": key, "beginning": key[:6], "both": f"hill {key[:4]}"}
    rules = RULES.replace('"issue:*"', '"*"').replace('"user"', '"admin"')
    door.write(rules.replace('"no:secret-*"', f'"no:{ways[ruled]}", "no:mail:write:*@{ways[ruled]}"'))
    hidden = (
        RemoveTown(actor="alice", town=ways[typed]),
        Rebalance(actor="alice", source=ways[typed]),
        SendMail(actor="alice", to=f"bob@{ways[typed]}", text="t"),
    )
    assert [door.code(ALICE, request) for request in hidden] == [Code.DENIED] * 3
    assert door.code(ALICE, RemoveTown(actor="alice", town="valley")) is None
    assert door.code(ALICE, SendMail(actor="alice", to="bob@valley", text="t")) is None


BEGUN = ("name", "whole", "beginning", "capitals")


@pytest.mark.parametrize("ruled", BEGUN)
@pytest.mark.parametrize("typed", BEGUN)
def test_a_rule_about_a_plane_holds_by_whatever_name_the_plane_is_meant(door: Door, ruled: str, typed: str) -> None:
    plane = door.api.member.replica.ledger
    whole = plane.id.hex()
    ways = {"name": plane.name, "whole": whole, "beginning": whole[:6], "capitals": whole[:9].upper()}
    door.write(RULES.replace('"issue:*"', '"*"').replace('"no:secret-*"', f'"no:issue:write:{ways[ruled]}"'))
    fields = IssueFields(title="t")
    assert door.code(ALICE, Create(actor="alice", project=PROJECT, plane=ways[typed], fields=fields)) is Code.DENIED
    assert door.code(ALICE, Create(actor="alice", project=PROJECT, plane="meadow", fields=fields)) is None
    assert door.code(ALICE, Create(actor="alice", project=whole[:5], fields=fields)) is None, "that is no plane"


@pytest.mark.parametrize("ruled", [4, 20, 43])
@pytest.mark.parametrize("typed", [4, 20, 43])
def test_a_rule_about_a_replica_holds_however_much_of_its_key_is_given(door: Door, ruled: int, typed: int) -> None:
    key = key_text(door.api.member.replica.id)
    rules = RULES.replace('"issue:*"', '"*"').replace('"user"', '"admin"')
    door.write(rules.replace('"no:secret-*"', f'"no:{key[:ruled]}"'))
    hidden = (
        RetireReplica(actor="alice", replica=key[:typed]),
        Rebalance(actor="alice", source=key[:typed]),
        SettleFork(actor="alice", author=key[:typed], branch="abcd"),
        SettleFork(actor="alice", author="other", branch="abcd", without=(key[:typed],)),
    )
    assert [door.code(ALICE, request) for request in hidden] == [Code.DENIED] * 4
    assert door.code(ALICE, RetireReplica(actor="alice", replica="other")) is None


def test_a_refusal_names_nothing_to_whom_it_may_be_hidden(door: Door) -> None:
    door.api.call(InitProject(actor="ada", prefix="secret", workspace="w1"))
    door.api.call(Create(actor="ada", project=PROJECT, id="demo-2", fields=IssueFields(title="t")))
    create = Create(actor="alice", project="nowhere", fields=IssueFields(title="t"))
    with pytest.raises(RefusedError, match="there is no project nowhere") as hidden:
        asked(door, ALICE, create)
    assert (hidden.value.code, hidden.value.hint) == (Code.NOT_FOUND, "")
    by_script = {"method": "create", "params": {"project": "nowhere", "fields": {"title": "t"}}}
    with pytest.raises(RefusedError, match=r"^step 1: there is no project nowhere$"):
        asked(door, ALICE, Script(actor="alice", steps=(by_script,)))
    for name, target in (("demo-1", "secret-7xyz"), ("secret-7xyz", "demo-2")):
        door.api.call(AddEdge(actor="ada", id=name, edge=Edge(to=target)))
    with pytest.raises(RefusedError, match=r"^this would close a cycle$"):
        asked(door, ALICE, AddEdge(actor="alice", id="demo-2", edge=Edge(to="demo-1")))
    with pytest.raises(RefusedError, match=r"^demo-1 is blocked by open issues; close"):
        asked(door, ALICE, Close(actor="alice", id="demo-1"))
    door.write(RULES.replace('"no:secret-*", "no:*polecat*"', "").replace('"issue:*"', '"*:*"'))
    with pytest.raises(RefusedError) as shown:
        asked(door, ALICE, create)
    assert "secret" in shown.value.hint


def test_what_is_known_of_a_workspace_tells_no_hidden_issue_and_nobodys_mail(door: Door) -> None:
    found = {"claims": {"lost": [{"id": "demo-1"}, {"id": "secret-7xyz"}], "due": 0}, "nudges": [{"text": "t"}]}

    def told() -> Any:
        grant = door.gate.admit(Asker(ALICE), WorkspaceInfo(workspace="w1", actor="alice"))
        return door.gate.narrow(grant, dict(found))

    assert told() == {"claims": {"lost": [{"id": "demo-1"}], "due": 0}}
    door.write(RULES.replace('"issue:*"', '"issue:*", "mail:*"').replace('"no:secret-*", "no:*polecat*"', ""))
    assert told() == found


def test_whoever_may_not_see_everything_hears_no_names_of_what_may_be_meant(door: Door) -> None:
    for name in ("secret-many1", "demo-many2"):
        door.api.call(Create(actor="ada", project=PROJECT, id=name, fields=IssueFields(title=name)))
    with pytest.raises(RefusedError) as raised:
        door.gate.admit(Asker(ALICE), Show(ids=("many",)))
    assert (raised.value.code, "secret-" in raised.value.message) == (Code.DENIED, False)
    assert door.code(ALICE, Show(ids=("many2",))) is None
    assert door.code(BOB, Show(ids=("many",))) is None
