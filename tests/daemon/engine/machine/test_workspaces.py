"""A workspace belongs to one project; opening a project again joins it."""

import msgspec
import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import InitProject
from moot_testkit.towns.town import Member, make_town
from mootd.engine.machine.workspaces import init_project, move_workspace, read_workspace, workspaces
from mootd.engine.stored import layout
from mootd.store.port import Table

LEDGER = 1


def init(member: Member, prefix: str = "mt", workspace: str = "", folder: str = "") -> dict[str, object]:
    request = InitProject(actor="alice", prefix=prefix, workspace=workspace, folder=folder)
    return member.commit(lambda unit: init_project(unit, LEDGER, request))


def refusal(member: Member, prefix: str, workspace: str) -> Code:
    before = known(member)
    with pytest.raises(RefusedError) as raised:
        init(member, prefix, workspace)
    assert known(member) == before
    return raised.value.code


def known(member: Member) -> list[dict[str, object]]:
    with member.replica.read() as reader:
        return workspaces(reader)


def test_a_new_project_is_written_once_and_then_joined() -> None:
    (member,) = make_town(1)
    first, second = init(member), init(member)
    assert (first["created"], second["created"]) == (True, False)
    assert first["workspace"] != second["workspace"]
    kinds = [event.skeleton.kind for batch in member.batches() for event in batch.events]
    assert kinds == ["certificate", "project"]
    assert member.replica.projects == {(LEDGER, "mt"): 1}


def test_a_workspace_remembers_project_and_folder_across_a_restart() -> None:
    (member,) = make_town(1)
    init(member, workspace="w1", folder="/home/alice/mt")
    member.restart()
    with member.replica.read() as reader:
        plane = member.ledger.id.hex()
        assert read_workspace(reader, "w1") == {"project": "mt", "folder": "/home/alice/mt", "plane": plane}
        assert read_workspace(reader, "w2") is None


def test_a_workspace_that_has_moved_names_its_new_folder() -> None:
    (member,) = make_town(1)
    for folder in ("/old", "/new"):
        init(member, workspace="w1", folder=folder)
    assert known(member) == [{"project": "mt", "folder": "/new", "plane": member.ledger.id.hex()}]


def test_a_workspace_goes_to_no_second_project() -> None:
    (member,) = make_town(1)
    init(member, workspace="w1")
    assert refusal(member, "other", "w1") is Code.EXISTS


@pytest.mark.parametrize("workspace", ["a/b", "..", "ä", "x" * 41, "w 1", "w\0"])
def test_what_could_be_a_path_names_no_workspace(workspace: str) -> None:
    (member,) = make_town(1)
    assert refusal(member, "mt", workspace)


def test_what_is_no_prefix_names_no_project() -> None:
    (member,) = make_town(1)
    assert refusal(member, "no prefix!", "w1")


def test_workspaces_never_leave_the_machine() -> None:
    founder, member = make_town(2)
    init(founder, workspace="w1", folder="/home/alice/mt")
    member.take(*founder.batches())
    assert known(member) == []
    assert not any(
        b"/home/alice" in event.values_bytes
        for batch in founder.batches()
        for event in batch.events
        if event.values_bytes
    )


def test_a_row_from_before_workspaces_named_their_plane_can_be_read() -> None:
    (member,) = make_town(1)
    with member.store.write() as writer:
        writer.put(Table.META, layout.WORKSPACES + b"w1", msgspec.msgpack.encode(("mt", "/home/alice/mt")))
    assert known(member) == [{"project": "mt", "folder": "/home/alice/mt", "plane": ""}]


def test_a_workspace_that_was_moved_keeps_all_but_its_folder() -> None:
    (member,) = make_town(1)
    init(member, workspace="w1", folder="/p")
    (before,) = known(member)
    assert member.commit(lambda unit: move_workspace(unit, "w1", "/p", "/p2"))
    assert known(member) == [before | {"folder": "/p2"}]


def test_one_that_is_not_known_where_it_is_said_to_have_been_stays() -> None:
    (member,) = make_town(1)
    init(member, workspace="w1", folder="/p")
    before = known(member)
    assert not member.commit(lambda unit: move_workspace(unit, "w1", "/q", "/p2"))
    assert not member.commit(lambda unit: move_workspace(unit, "w2", "/p", "/p2"))
    assert known(member) == before
