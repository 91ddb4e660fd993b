"""One suite for the watcher of the system's files, told and looking, and its twin in memory."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from moot_testkit.clients.wakings import is_heard
from mootd.edges import watching
from mootd.edges.memory_files import MemoryWatcher
from mootd.edges.watching import SystemWatcher
from mootd.files import Watch, Watcher

FILE, OTHER = "f", "g"


class OnDisk:
    """Files that other programs change."""

    def __init__(self, folder: Path) -> None:
        self.watcher: Watcher = SystemWatcher()
        self.folder = folder / "watched"
        self.make_folder()

    def write(self, file: str) -> None:
        (self.folder / file).write_bytes(b"in place")

    def replace(self, file: str) -> None:
        new = self.folder / "new"
        new.write_bytes(b"put over it")
        new.replace(self.folder / file)

    def remove(self, file: str) -> None:
        self.write(file)
        (self.folder / file).unlink()

    def make_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for file in (FILE, OTHER):
            (self.folder / file).write_bytes(b"old")


class InMemory:
    """The same, told to the twin."""

    def __init__(self, folder: Path) -> None:
        self.watcher: Watcher
        self.watcher = self._twin = MemoryWatcher()
        self.folder = folder

    def write(self, file: str) -> None:
        self._twin.happened(str(self.folder), file)

    replace = remove = write

    def make_folder(self) -> None:
        self.write(FILE)


Files = OnDisk | InMemory


class Watched:
    """A watch, and word of what it tells."""

    def __init__(self, files: Files, *, poll: bool, told: threading.Event | None = None) -> None:
        self.told = told or threading.Event()
        self.watch: Watch = files.watcher.watch(str(files.folder), FILE, self.told.set, poll=poll)

    def hears(self, change: Callable[[], object]) -> bool:
        """Whether word of a change comes."""
        return is_heard(self.told, change)


@pytest.fixture(params=[OnDisk, InMemory])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(watching, "LOOK_S", 0.02)
    made: Files = request.param(tmp_path)
    return made


@pytest.fixture(params=[False, True], ids=["told", "polls"])
def poll(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def watching_it(files: Files, poll: bool) -> Iterator[Callable[..., Watched]]:
    """Begins watches, which end with the test."""
    with ExitStack() as ending:

        def begin(told: threading.Event | None = None) -> Watched:
            watched = Watched(files, poll=poll, told=told)
            ending.callback(watched.watch.close)
            return watched

        yield begin


Begin = Callable[..., Watched]


def test_however_a_file_is_changed_somebody_is_told(files: Files, watching_it: Begin) -> None:
    watched = watching_it()
    for change in (files.write, files.replace, files.remove, files.write):
        assert watched.hears(partial(change, FILE)), change


def test_a_watch_that_is_to_look_says_so(poll: bool, watching_it: Begin) -> None:
    assert watching_it().watch.polls is poll


def test_once_close_has_returned_nothing_is_told(files: Files, watching_it: Begin) -> None:
    watched = watching_it()
    assert watched.hears(lambda: files.write(FILE))
    watched.watch.close()
    watched.told.clear()
    files.write(FILE)
    assert not watched.told.wait(0.3)


@pytest.mark.parametrize("poll", [False], indirect=True)  # a watch that looks may tell of nothing
def test_what_changes_beside_a_file_is_not_told_where_somebody_tells(files: Files, watching_it: Begin) -> None:
    watched = watching_it()
    assert watched.hears(lambda: files.write(FILE))
    while watched.told.wait(0.5):
        watched.told.clear()  # word of the last of those writes
    files.write(OTHER)
    assert not watched.told.wait(0.3)


def test_watches_of_one_file_end_each_by_itself_and_as_often_as_one_likes(files: Files, watching_it: Begin) -> None:
    one = watching_it()
    other = watching_it(one.told)
    one.watch.close()
    one.watch.close()
    assert other.hears(lambda: files.write(FILE))


def test_a_refresh_loses_nothing_whether_the_folder_is_the_same_or_another(files: Files, watching_it: Begin) -> None:
    watched = watching_it()
    watched.watch.refresh()
    assert watched.hears(lambda: files.write(FILE))
    files.make_folder()
    watched.watch.refresh()
    assert watched.hears(lambda: files.replace(FILE))
