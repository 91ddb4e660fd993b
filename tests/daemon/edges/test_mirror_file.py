"""A mirrored file on the disk: what is left beside it, its permissions, and ways out of the folder."""

import errno
import os
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.edges.mirror_file import DiskFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "project" / ".beads" / "issues.jsonl"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"old")
    return made


def file_of(path: Path) -> DiskFile:
    return DiskFile(str(path.parents[1]), ".beads/issues.jsonl")


def test_nothing_stays_beside_it_and_its_permissions_stay(path: Path) -> None:
    path.chmod(0o640)
    assert file_of(path).replace(b"old", b"new")
    assert not file_of(path).replace(b"old", b"newer")
    assert [each.name for each in path.parent.iterdir()] == ["issues.jsonl"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_read_only_file_is_read_and_stays(path: Path) -> None:
    path.chmod(0o440)
    with pytest.raises(RefusedError) as refused:
        file_of(path).replace(b"old", b"new")
    assert (refused.value.code, file_of(path).read()) == (Code.STORE_READ_ONLY, b"old")


def test_what_a_killed_daemon_left_is_in_nobodys_way(path: Path) -> None:
    (path.parent / ".issues.jsonl.moot-new").symlink_to(path.parent / "trap")
    assert file_of(path).replace(b"old", b"new")
    assert [each.name for each in path.parent.iterdir()] == ["issues.jsonl"]


def test_who_holds_the_old_file_open_keeps_it_whole(path: Path) -> None:
    with path.open("rb") as held:
        file_of(path).replace(b"old", b"new")
        assert held.read() == b"old"


@pytest.mark.parametrize("file", ["../issues.jsonl", ".beads/../../x", "/etc/passwd", "", ".beads//x", "./x"])
def test_a_path_out_of_the_folder_is_refused(file: str) -> None:
    with pytest.raises(RefusedError) as refused:
        DiskFile("/work", file)
    assert refused.value.code is Code.DENIED


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        (".git", "config"), (".git/info", "exclude"), ("", ".git/config"), ("sub/.git/hooks", "pre-commit"),
        ("", ".git"),
        (".GIT", "config"), (".git. ", "config"), (".g\u200cit", "config"), ("GIT~1", "config"),
        (".moot", "workspace"), (".Moot/spool", "in.jsonl"),
    ],
)  # fmt: skip
def test_where_git_or_moot_keep_their_own_nothing_is_written(tmp_path: Path, folder: str, file: str) -> None:
    path = tmp_path / folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"old")
    held = DiskFile(str(tmp_path / folder), file)
    for work in (held.check_place, lambda: held.replace(b"old", b"new")):
        with pytest.raises(RefusedError, match="own") as refused:
            work()
        assert (refused.value.code, bool(refused.value.hint)) == (Code.DENIED, True)
    assert path.read_bytes() == b"old"


def test_a_link_that_leads_where_git_keeps_its_own_is_no_way_there(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"old")
    (tmp_path / "plain").symlink_to(tmp_path / ".git")
    with pytest.raises(RefusedError):
        DiskFile(str(tmp_path / "plain"), "config").check_place()


@pytest.mark.parametrize("name", [".github", "moot", ".git-blame-ignore-revs", ".beads"])
def test_names_that_only_begin_alike_are_the_users_own(tmp_path: Path, name: str) -> None:
    DiskFile(str(tmp_path), f"{name}/issues.jsonl").check_place()


def test_a_link_in_place_of_the_folder_between_is_refused(path: Path) -> None:
    file = file_of(path)
    path.parent.rename(path.parents[1] / "elsewhere")
    path.parent.symlink_to(path.parents[1] / "elsewhere")
    with pytest.raises(RefusedError) as refused:
        file.read()
    assert refused.value.code is Code.DENIED
    assert (path.parents[1] / "elsewhere" / "issues.jsonl").read_bytes() == b"old"


def test_what_is_no_plain_file_is_refused_without_waiting(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RefusedError) as refused:
        file_of(path).read()
    assert refused.value.code is Code.DENIED


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EROFS, Code.STORE_READ_ONLY), (errno.ENOSPC, Code.STORE_FULL), (errno.EIO, Code.DENIED)]
)
def test_a_folder_that_takes_nothing_leaves_the_file_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: Code
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(RefusedError) as refused:
        file_of(path).replace(b"old", b"new")
    assert refused.value.code is code
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("issues.jsonl", b"old")]
