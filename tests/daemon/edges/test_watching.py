"""Noticing changes: however a file is changed, somebody is told; and where nobody tells, it is looked at."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moot_testkit.clients.wakings import is_heard
from mootd.edges import watching
from mootd.edges.watching import SystemWatcher, file_system
from mootd.files import Watch

MOUNTS = r"""
25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 25 0:40 / /home/ada rw - nfs4 host:/home rw
31 30 0:41 / /home/ada/local\040disk rw - btrfs /dev/sdb rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/x", "ext4"),
        ("/home/ada", "nfs4"),
        ("/home/ada/project/.beads", "nfs4"),
        ("/home/adam", "ext4"),
        ("/home/ada/local disk/x", "btrfs"),
    ],
)
def test_the_innermost_mount_tells_the_file_system(path: str, kind: str) -> None:
    assert file_system(path, MOUNTS) == kind


class Watched:
    """A file that is watched, and word of its changes."""

    def __init__(self, path: Path, *, poll: bool) -> None:
        self.path = path
        self.told = threading.Event()
        self.watch: Watch = SystemWatcher().watch(str(path.parent), path.name, self.told.set, poll=poll)

    def is_told_of(self, change: Callable[[], object]) -> bool:
        """Whether word of a change comes."""
        return is_heard(self.told, change)


@pytest.fixture(params=[False, True], ids=["told", "polls"])
def watched(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(watching, "LOOK_S", 0.02)
    path = tmp_path / "f"
    path.write_bytes(b"old")
    made = Watched(path, poll=request.param)
    yield made
    made.watch.close()


def test_a_write_in_place_and_a_rename_over_it_are_told(watched: Watched) -> None:
    def replaced() -> None:
        new = watched.path.with_name("new")
        new.write_bytes(b"new")
        new.replace(watched.path)

    assert watched.is_told_of(lambda: watched.path.write_bytes(b"more"))
    assert watched.is_told_of(replaced)


def test_after_its_end_nothing_is_told(watched: Watched) -> None:
    assert watched.is_told_of(lambda: watched.path.write_bytes(b"more"))
    watched.watch.close()
    watched.told.clear()
    watched.path.write_bytes(b"again")
    assert not watched.told.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "mirror-watch"]


def test_a_folder_that_was_made_anew_is_watched_after_a_look(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "f"
    path.parent.mkdir()
    path.write_bytes(b"old")
    watched = Watched(path, poll=False)
    try:
        assert watched.is_told_of(lambda: path.write_bytes(b"more"))
        path.unlink()
        path.parent.rmdir()
        path.parent.mkdir()
        watched.watch.refresh()
        assert watched.is_told_of(lambda: path.write_bytes(b"again"))
        assert not watched.watch.polls
    finally:
        watched.watch.close()


def test_on_a_network_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "file_system", lambda *_: "nfs4")
    watch = SystemWatcher().watch(str(tmp_path), "f", lambda: None, poll=False)
    try:
        assert watch.polls
    finally:
        watch.close()
