"""The client's side of the folder: a command is there whole or not at all, and what is forged there is nothing."""

import errno
import os
import time
from pathlib import Path

import pytest

from moot.spool import files as spool_files
from moot.spool.files import LEFT_MS, SETTLED_MS, SpoolFiles
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import SPOOL_BYTES, SPOOL_FILES
from moot_protocol.requests.issues import Close
from moot_protocol.spool.files import (
    ANSWERS,
    BELL_FILE,
    COMMANDS,
    SNAPSHOT_FILE,
    Outcome,
    answer_name,
    command_name,
    seal_answer,
)
from moot_protocol.spool.snapshot_file import Snapshot
from moot_testkit.towns.spooling import SpoolSite, create

COMMAND = bytes(range(16))
NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> SpoolSite:
    return SpoolSite(tmp_path)


@pytest.fixture
def files(site: SpoolSite) -> SpoolFiles:
    return SpoolFiles(site.folder)


def answer(site: SpoolSite, outcome: Outcome, *, awaited: bool, secret: bytes = b"") -> Path:
    path = site.path / ANSWERS / answer_name(COMMAND, awaited=awaited)
    path.write_bytes(seal_answer(secret or site.files.token.secret, COMMAND, outcome))
    return path


# -- A snapshot that has the last command in it ------------------------------------------------------------------
class Folder(SpoolFiles):
    """A spool whose daemon writes a snapshot when it has been looked at often enough."""

    def __init__(self, site: SpoolSite, looks: int) -> None:
        super().__init__(site.folder)
        self.looks = looks
        self._site = site

    def snapshot(self) -> Snapshot:
        self.looks -= 1
        if self.looks == 0:
            self._site.api.clock.advance(NOW_MS + 1000 - self._site.api.clock.now_ms())
            self._site.write_snapshot()
        return super().snapshot()


@pytest.fixture
def behind(site: SpoolSite) -> SpoolSite:
    site.write_snapshot()
    set_changed(site, NOW_MS)
    return site


def set_changed(site: SpoolSite, ms: int) -> None:
    os.utime(site.path / COMMANDS, ns=(ms * 1_000_000, ms * 1_000_000))


def test_a_snapshot_is_waited_for_that_has_the_last_command_in_it(behind: SpoolSite) -> None:
    files = Folder(behind, looks=3)
    old = files.snapshot()
    assert files.is_behind(old, NOW_MS)
    new = files.settled(old, NOW_MS)
    assert (new.made_ms > NOW_MS, files.is_behind(new, NOW_MS), files.looks) == (True, False, 0)
    assert files.settled(new, NOW_MS) is new


@pytest.mark.parametrize("waits", [True, False])
def test_it_is_waited_for_only_briefly(behind: SpoolSite, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    monkeypatch.setattr(spool_files, "TAKING_S" if waits else "SETTLING_S", 0.05)
    if waits:
        behind.put(create("one"))
        set_changed(behind, NOW_MS)
    files = Folder(behind, looks=-1)
    assert files.is_behind(files.settled(files.snapshot(), NOW_MS), NOW_MS)
    assert files.looks < -2


@pytest.mark.parametrize("age_ms", [SETTLED_MS, -24 * 3600 * 1000])
def test_where_no_daemon_is_there_or_the_clock_was_set_nothing_is_waited_for(behind: SpoolSite, age_ms: int) -> None:
    set_changed(behind, NOW_MS - age_ms)
    files = Folder(behind, looks=-1)
    files.settled(files.snapshot(), NOW_MS)
    assert files.looks == -2


def test_where_the_folder_may_not_be_listed_it_is_waited_for_as_well(
    behind: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: SpoolFiles) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(SpoolFiles, "waiting", forbidden)
    files = Folder(behind, looks=2)
    assert files.settled(files.snapshot(), NOW_MS).made_ms > NOW_MS


def test_without_its_folder_no_snapshot_is_behind(behind: SpoolSite) -> None:
    files = SpoolFiles(behind.folder)
    held = files.snapshot()
    (behind.path / COMMANDS).rename(behind.path / "gone")
    assert not files.is_behind(held, NOW_MS)


# -- Token and snapshot ------------------------------------------------------------------------------------------
def test_where_there_is_no_spool_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        SpoolFiles(tmp_path)
    assert caught.value.code is Code.NOT_FOUND


def test_a_spool_open_to_others_or_behind_a_link_is_not_used(site: SpoolSite, tmp_path: Path) -> None:
    site.path.chmod(0o755)
    with pytest.raises(RefusedError, match="open to others"):
        SpoolFiles(site.folder)
    site.path.chmod(0o700)
    site.path.rename(tmp_path / "elsewhere")
    site.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="link"):
        SpoolFiles(site.folder)


def test_a_snapshot_that_is_missing_forged_or_a_link_is_refused(site: SpoolSite, files: SpoolFiles) -> None:
    with pytest.raises(RefusedError) as caught:
        files.snapshot()
    assert caught.value.code is Code.NOT_READY
    assert "try again" in caught.value.hint
    site.write_snapshot()
    assert files.snapshot().project == "demo"
    path = site.path / SNAPSHOT_FILE
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(MalformedError):
        files.snapshot()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RefusedError, match="not a file"):
        files.snapshot()


# -- Commands ----------------------------------------------------------------------------------------------------
def test_a_command_lies_whole_under_its_name_and_the_bell_rings(site: SpoolSite, files: SpoolFiles) -> None:
    bell = site.path / BELL_FILE
    before = bell.stat().st_size
    files.put(1_700_000_000_000, COMMAND, b"12345")
    (name,) = site.waiting()
    path = site.path / COMMANDS / name
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"12345", 0o600)
    assert name == command_name(1_700_000_000_000, COMMAND)
    assert bell.stat().st_size > before
    assert files.waiting() == (1, 5, 1_700_000_000_000)


def test_a_full_spool_is_refused_and_nothing_written(site: SpoolSite, files: SpoolFiles) -> None:
    for number in range(SPOOL_FILES):
        (site.path / COMMANDS / str(number)).touch()
    with pytest.raises(RefusedError, match="the spool is full") as caught:
        files.put(1, COMMAND, b"x")
    assert (caught.value.code, caught.value.retryable) == (Code.BUSY, True)
    assert len(site.waiting()) == SPOOL_FILES
    (site.path / COMMANDS / "0").unlink()
    files.put(1, COMMAND, b"x")


def test_a_spool_with_too_many_bytes_is_refused(site: SpoolSite, files: SpoolFiles) -> None:
    with (site.path / COMMANDS / "large").open("wb") as file:
        file.truncate(SPOOL_BYTES)
    with pytest.raises(RefusedError, match="the spool is full"):
        files.put(1, COMMAND, b"x")
    assert site.waiting() == ["large"]


@pytest.mark.parametrize(
    ("number", "code", "hint"),
    [
        (errno.ENOSPC, Code.STORE_FULL, "make space"),
        (errno.EDQUOT, Code.STORE_FULL, "make space"),
        (errno.EACCES, Code.DENIED, "let the sandbox write"),
    ],
)
def test_a_write_that_fails_is_told_with_what_to_do_and_leaves_nothing(
    site: SpoolSite, files: SpoolFiles, monkeypatch: pytest.MonkeyPatch, number: int, code: Code, hint: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(RefusedError, match=os.strerror(number)) as caught:
            files.put(1, COMMAND, b"x")
    error = caught.value
    assert (error.code, error.hint.startswith(hint), error.retryable) == (code, True, code is Code.STORE_FULL)
    assert not site.waiting()


def test_a_missing_bell_or_one_that_is_a_link_keeps_no_command_back(site: SpoolSite, files: SpoolFiles) -> None:
    bell = site.path / BELL_FILE
    bell.unlink()
    (site.folder / "theirs").write_text("theirs")
    bell.symlink_to(site.folder / "theirs")
    files.put(1, COMMAND, b"x")
    assert len(site.waiting()) == 1
    assert (site.folder / "theirs").read_text() == "theirs"


# -- Answers -----------------------------------------------------------------------------------------------------
def test_an_answer_is_fetched_once(site: SpoolSite, files: SpoolFiles) -> None:
    path = answer(site, Outcome("ada", "x", {"id": 1}), awaited=True)
    assert files.wait(COMMAND, 0) == Outcome("ada", "x", {"id": 1})
    assert not path.exists()
    assert files.wait(COMMAND, 0.03) is None


def test_a_forged_answer_is_as_good_as_none(site: SpoolSite, files: SpoolFiles) -> None:
    path = answer(site, Outcome("ada", "x", 1), awaited=True, secret=bytes(32))
    assert files.wait(COMMAND, 0) is None
    path.unlink()
    os.mkfifo(path)
    assert files.wait(COMMAND, 0) is None


def test_refusals_are_told_once_and_to_whom_they_concern(site: SpoolSite, files: SpoolFiles) -> None:
    site.put(Close(actor="ada", id="demo-none"))
    site.api.clock.advance(1)
    site.put(create("fine"))
    site.take()
    (site.path / ANSWERS / "forged.refusal").write_bytes(b"x")
    assert list(files.refusals("bob", NOW_MS)) == []
    (refusal,) = files.refusals("ada", NOW_MS)
    assert refusal.error is not None
    assert refusal.error.code is Code.NOT_FOUND
    assert list(files.refusals("ada", NOW_MS)) == []


def test_what_nobody_waits_for_any_more_is_told_as_well(site: SpoolSite, files: SpoolFiles) -> None:
    refused = RefusedError("it is held", code=Code.LOST_RACE)
    path = answer(site, Outcome("ada", "update x", error=refused), awaited=True)
    os.utime(path, ns=(NOW_MS * 1_000_000, NOW_MS * 1_000_000))
    assert list(files.refusals("ada", NOW_MS + LEFT_MS)) == []
    (told,) = files.refusals("ada", NOW_MS + LEFT_MS + 1000)
    assert told.about == "update x"
    path = answer(site, Outcome("ada", "update x", {"id": 1}), awaited=True)
    os.utime(path, ns=(NOW_MS * 1_000_000, NOW_MS * 1_000_000))
    assert list(files.refusals("ada", NOW_MS + 10 * LEFT_MS)) == []
    assert not path.exists()


def test_a_snapshot_that_is_cut_off_is_told_with_where_it_ends_and_what_to_do(behind: SpoolSite) -> None:
    behind.write_snapshot()
    path = behind.path / SNAPSHOT_FILE
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(MalformedError) as caught:
        behind.files.snapshot()
    assert (
        caught.value.message
        == f"the snapshot {path} can't be used: it is cut off: it ends after 40 bytes, in the middle"
    )
    assert "writes it anew" in caught.value.hint


def test_a_snapshot_that_is_something_else_is_told_as_that(behind: SpoolSite) -> None:
    (behind.path / SNAPSHOT_FILE).write_bytes(b"\xc1")
    with pytest.raises(MalformedError, match="invalid opcode"):
        behind.files.snapshot()
