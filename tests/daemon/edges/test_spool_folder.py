"""The folder of a spool: made for one user alone, and never a way out of it."""

import errno
import os
from pathlib import Path

import pytest

from moot_protocol.errors import MalformedError, RefusedError
from moot_protocol.limits import SPOOL_ANSWERS, SPOOL_ENTRY_BYTES
from moot_protocol.spool.files import ANSWERS, COMMANDS, FOLDER, REFUSED, SNAPSHOT_FILE, TEMPORARY, command_name
from mootd.edges import spool_folder
from mootd.edges.spool_folder import _written_ns, close_spool_folders, make_spool, opened_spool, standing_of

NOW_MS = 1_700_000_000_000


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / ".moot").mkdir()
    make_spool(tmp_path)
    return tmp_path


def test_a_spool_is_this_users_alone_and_git_ignores_it(workspace: Path) -> None:
    spool = workspace / FOLDER
    modes = {path.name: path.stat().st_mode & 0o777 for path in (spool, *spool.iterdir())}
    assert modes == dict.fromkeys(["spool", COMMANDS, ANSWERS, REFUSED], 0o700)
    assert (workspace / ".moot" / ".gitignore").read_text() == "*\n"
    with opened_spool(workspace) as folder:
        folder.put(SNAPSHOT_FILE, b"x")
    assert (spool / SNAPSHOT_FILE).stat().st_mode & 0o777 == 0o600


def test_making_it_again_changes_nothing_and_an_own_gitignore_stays(workspace: Path) -> None:
    (workspace / ".moot" / ".gitignore").write_text("spool/\n")
    (workspace / FOLDER / COMMANDS / "a").touch()
    make_spool(workspace)
    assert (workspace / ".moot" / ".gitignore").read_text() == "spool/\n"
    assert (workspace / FOLDER / COMMANDS / "a").exists()


def test_a_spool_that_is_open_to_others_is_closed_and_a_trial_only_says_so(workspace: Path) -> None:
    spool = workspace / FOLDER
    for folder in (spool, spool / REFUSED):
        folder.chmod(0o755)
    for is_trial in (True, False):
        assert close_spool_folders(workspace, is_trial=is_trial) == [spool, spool / REFUSED]
    assert close_spool_folders(workspace, is_trial=False) == []
    assert {path.stat().st_mode & 0o777 for path in (spool, spool / REFUSED)} == {0o700}


@pytest.mark.parametrize("part", [".moot", FOLDER, f"{FOLDER}/{COMMANDS}"])
def test_what_a_link_in_a_spool_leads_to_is_not_closed(workspace: Path, tmp_path: Path, part: str) -> None:
    (workspace / part).rename(tmp_path / "elsewhere")
    (workspace / part).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o755)
    assert close_spool_folders(workspace, is_trial=False) == []
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("part", [".moot", FOLDER, f"{FOLDER}/{ANSWERS}"])
def test_no_link_is_followed_on_the_way(workspace: Path, tmp_path: Path, part: str) -> None:
    (workspace / part).rename(tmp_path / "elsewhere")
    (workspace / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="symbolic link"), opened_spool(workspace):
        pass
    with pytest.raises(RefusedError, match="symbolic link"):
        make_spool(workspace)
    assert "symbolic link" in standing_of(workspace).problem


def test_not_even_above_the_workspace(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace)
    with pytest.raises(RefusedError, match="symbolic link"), opened_spool(tmp_path / "link"):
        pass


def test_a_snapshot_takes_the_place_of_a_link_and_not_of_what_it_leads_to(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (workspace / FOLDER / SNAPSHOT_FILE).symlink_to(tmp_path / "theirs")
    with opened_spool(workspace) as folder:
        folder.put(SNAPSHOT_FILE, b"ours")
    assert (workspace / FOLDER / SNAPSHOT_FILE).read_bytes() == b"ours"
    assert not (workspace / FOLDER / SNAPSHOT_FILE).is_symlink()
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_write_that_fails_leaves_nothing_behind(workspace: Path) -> None:
    (workspace / FOLDER / ANSWERS / "name" / "full").mkdir(parents=True)
    with opened_spool(workspace) as folder, pytest.raises(OSError, match="irectory"):
        folder.answer("name", b"x")
    assert [path.name for path in (workspace / FOLDER / ANSWERS).iterdir()] == ["name"]


def test_nor_does_one_on_a_full_disk(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened_spool(workspace) as folder:
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            folder.answer("name", b"x")
        monkeypatch.undo()
    assert list((workspace / FOLDER / ANSWERS).iterdir()) == []


def test_what_waits_is_told_in_order_without_what_is_still_written(workspace: Path) -> None:
    names = [command_name(NOW_MS + number, bytes([9 - number]) * 16) for number in (2, 0, 1)]
    for name in names:
        (workspace / FOLDER / COMMANDS / name).write_bytes(b"12345")
    (workspace / FOLDER / COMMANDS / f"{TEMPORARY}1").write_bytes(b"1")
    with opened_spool(workspace) as folder:
        waiting = folder.waiting()
    assert waiting.names == sorted(names)
    assert (waiting.size, waiting.oldest_ms, waiting.overfull) == (15, NOW_MS, False)


def test_a_file_of_another_user_is_not_read(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / FOLDER / COMMANDS / "a").write_bytes(b"x")
    with opened_spool(workspace) as folder:
        assert folder.read("a") == b"x"
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(MalformedError, match="belongs to user"):
            folder.read("a")


def test_a_file_that_grows_meanwhile_is_not_read_to_its_end(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace / FOLDER / COMMANDS / "a"
    path.write_bytes(b"x" * (SPOOL_ENTRY_BYTES + 100))
    with opened_spool(workspace) as folder:
        monkeypatch.setattr("mootd.edges.spool_folder._check_ordinary", lambda _: None)
        assert len(folder.read("a")) == SPOOL_ENTRY_BYTES + 1


def test_what_is_refused_keeps_its_name_in_the_reason_only(workspace: Path) -> None:
    (workspace / FOLDER / COMMANDS / "odd\nname").write_bytes(b"x")
    with opened_spool(workspace) as folder:
        assert folder.refuse("odd\nname", "it is odd", NOW_MS)
        assert folder.refuse("not there", "gone", NOW_MS)
        assert folder.refused() == 1
    (reason,) = (workspace / FOLDER / REFUSED).glob("*.reason")
    assert reason.read_text() == "'odd\\nname': it is odd\n"


def test_an_answer_that_is_fetched_while_the_oldest_are_looked_for_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "answer").touch()
    with os.scandir(tmp_path) as entries:
        entry = next(entries)
    (tmp_path / "answer").unlink()
    assert _written_ns(entry) == 0


def test_of_answers_that_nobody_fetches_the_oldest_make_way(workspace: Path) -> None:
    answers = workspace / FOLDER / ANSWERS
    for number in range(SPOOL_ANSWERS):
        (answers / f"{number}").touch()
        os.utime(answers / f"{number}", (number, number))
    with opened_spool(workspace) as folder:
        folder.answer("new", b"x")
    left = {path.name for path in answers.iterdir()}
    assert len(left) <= SPOOL_ANSWERS
    assert "new" in left
    assert "0" not in left
    assert f"{SPOOL_ANSWERS - 1}" in left


def test_how_a_spool_stands(workspace: Path) -> None:
    (workspace / FOLDER / COMMANDS / command_name(NOW_MS, bytes(16))).write_bytes(b"12345")
    with opened_spool(workspace) as folder:
        folder.put(SNAPSHOT_FILE, b"x")
    standing = standing_of(workspace)
    assert (standing.waiting, standing.size, standing.oldest_ms, standing.refused) == (1, 5, NOW_MS, 0)
    assert standing.snapshot_ms is not None
    assert standing.problem == ""
    assert "not there" in standing_of(workspace / "nowhere").problem


@pytest.mark.timeout(5)
def test_a_pipe_that_takes_a_command_s_place_meanwhile_holds_nobody_up(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(workspace / FOLDER / COMMANDS / "pipe")
    with opened_spool(workspace) as spool:
        checks = iter([lambda _: None, spool_folder._check_ordinary])  # the first look was at something else

        def check(status: os.stat_result) -> None:
            next(checks)(status)

        monkeypatch.setattr(spool_folder, "_check_ordinary", check)
        with pytest.raises(MalformedError):
            spool.read("pipe")
