"""Folders that were moved: one is left where the daemon sees that it is, and a file goes on as the mirror it was."""

from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.requests.mirrors import MirrorOn
from moot_protocol.spool.files import FOLDER, FORMAT, TOKEN_FILE, Token, encode_token
from moot_protocol.spool.project_folder import WORKSPACE_FILE
from mootd.edges.memory_files import MemoryFile
from mootd.engine.machine.mirrors import MirrorRow
from mootd.mirror.moving import holds, holds_spool, is_gone, is_left, predecessor

PLANE = b"p" * 16
FILE = ".beads/issues.jsonl"
ROW = MirrorRow(folder="/home/p", file=FILE, workspace="w1", project="demo", plane=PLANE)
ON = MirrorOn(folder="/home/p2", file=FILE, workspace="w1", project="demo")


class Disk:
    """Files in memory, by folder and path in it."""

    def __init__(self, **files: bytes) -> None:
        self.files = {path: MemoryFile(content) for path, content in files.items()}

    def has(self, folder: str, file: str, content: bytes = b"w1\n") -> MemoryFile:
        return self.files.setdefault(f"{folder}/{file}", MemoryFile(content))

    def __call__(self, folder: str, file: str) -> MemoryFile:
        return self.files.get(f"{folder}/{file}", MemoryFile(None))


@pytest.fixture
def disk() -> Disk:
    """A project that was moved from p to p2."""
    disk = Disk()
    disk.has("/home/p2", WORKSPACE_FILE)
    return disk


def test_a_folder_is_a_workspaces_where_its_file_names_it(disk: Disk) -> None:
    assert holds(disk, "/home/p2", "w1")
    assert not is_left(disk, "/home/p2", "w1")
    for folder, workspace in (("/home/p2", "w2"), ("/home/p", "w1")):
        assert not holds(disk, folder, workspace)
        assert is_left(disk, folder, workspace)


def test_a_folder_has_a_spool_where_the_token_of_its_present_secret_lies(disk: Disk) -> None:
    token = Token(FORMAT, "w1", "demo", "aa", b"s" * 32, b"d" * 32)
    assert not holds_spool(disk, "/home/p2", token.secret)
    disk.has("/home/p2", f"{FOLDER}/{TOKEN_FILE}", encode_token(token))
    assert holds_spool(disk, "/home/p2", token.secret)
    assert not holds_spool(disk, "/home/p2", b"x" * 32)
    disk.has("/home/p3", f"{FOLDER}/{TOKEN_FILE}", b"no token")
    assert not holds_spool(disk, "/home/p3", token.secret)


def test_a_folder_that_cannot_be_looked_into_is_neither(disk: Disk) -> None:
    disk.has("/home/p", WORKSPACE_FILE).is_link = True
    assert not holds(disk, "/home/p", "w1")
    assert not is_left(disk, "/home/p", "w1")
    assert not is_gone(disk, ROW)


def test_a_mirror_is_gone_with_its_workspaces_folder_and_not_with_its_file_alone(disk: Disk) -> None:
    assert is_gone(disk, ROW)
    disk.has("/home/p", WORKSPACE_FILE)
    assert not is_gone(disk, ROW)


@pytest.mark.parametrize("below", ["", "/a"])
def test_a_mirror_in_a_linked_work_tree_is_gone_with_that(disk: Disk, below: str) -> None:
    disk.has("/home/p", ".git", b"gitdir: /home/q/.git/worktrees/p\n")
    row = MirrorRow(folder=f"/home/p{below}", file=FILE, workspace="w1", project="demo", plane=PLANE)
    assert not is_gone(disk, row)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_mirror_whose_file_is_there_or_may_be_is_not_gone(disk: Disk, *, is_link: bool) -> None:
    disk.has("/home/p", FILE).is_link = is_link
    assert not is_gone(disk, ROW)


def test_a_file_goes_on_as_the_mirror_that_lay_at_its_place(disk: Disk) -> None:
    below = MirrorRow(folder="/home/p/a", file=FILE, workspace="w1", project="demo", plane=PLANE)
    rows = [below, ROW]
    assert predecessor(disk, rows, ON, PLANE) == ROW
    in_a = MirrorOn(folder="/home/p2/a", file=FILE, workspace="w1", project="demo")
    assert predecessor(disk, rows, in_a, PLANE) == below
    assert predecessor(disk, [ROW], in_a, PLANE) is None


@pytest.mark.parametrize("other", [{"file": "other"}, {"workspace": "w2"}, {"project": "other"}, {"plane": b"q" * 16}])
def test_it_does_not_go_on_as_another_projects_or_another_files(disk: Disk, other: dict[str, Any]) -> None:
    assert predecessor(disk, [replace(ROW, **other)], ON, PLANE) is None


def test_it_does_not_where_its_folder_is_not_the_workspaces_or_the_other_is_there(disk: Disk) -> None:
    stranger = MirrorOn(folder="/home/p3", file=FILE, workspace="w1", project="demo")
    assert predecessor(disk, [ROW], stranger, PLANE) is None
    disk.has("/home/p", WORKSPACE_FILE)
    assert predecessor(disk, [ROW], ON, PLANE) is None
