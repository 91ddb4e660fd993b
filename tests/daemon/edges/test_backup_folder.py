"""A backup's folder appears whole or not at all, where it may lie, and tells what it holds."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from moot_protocol.errors import Code
from moot_testkit.refusals import refusal
from mootd.edges.backup_folder import (
    FORMAT,
    Contents,
    check_target,
    copy_small,
    differing,
    growing,
    read_list,
    sources,
    write_list,
)
from mootd.edges.paths import Places

MADE = Contents(version="1", made=1, batches=2, events=3, planes=[], files={})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A machine's places, with keys and rules."""
    places = Places(tmp_path / "data", tmp_path / "config" / "config.toml", tmp_path / "state", tmp_path / "run")
    places.keys.mkdir(parents=True)
    places.config_file.parent.mkdir()
    for path in (places.keys / "town.key", places.keys / ".town.key.new", places.config_file.parent / "access.toml"):
        path.write_text(path.name)
    (places.config_file.parent / "recovery-words.txt").write_text("secret words")
    return places


# -- Where -------------------------------------------------------------------------------------------------------
def filled(folder: Path) -> Path:
    folder.mkdir()
    (folder / "mine").touch()
    return folder


def file_at(path: Path) -> Path:
    path.touch()
    return path


def link_to_empty(path: Path) -> Path:
    (path.parent / "there").mkdir()
    path.symlink_to(path.parent / "there")
    return path


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (filled, Code.EXISTS),
        (file_at, Code.EXISTS),
        (link_to_empty, Code.EXISTS),
        (lambda path: path / "in" / "nothing", Code.NOT_FOUND),
        (lambda path: path.parent / "data" / "copy", Code.INVALID),
        (lambda path: path.parent / "data", Code.INVALID),
        (lambda path: path.parent / "data" / "keys" / "copy", Code.INVALID),
        (lambda path: path.parent / "config" / "copy", Code.INVALID),
        (lambda _: Path("copy"), Code.INVALID),
    ],
)
def test_where_none_may_lie_it_is_refused(
    tmp_path: Path, places: Places, made: Callable[[Path], Path], code: Code
) -> None:
    target = made(tmp_path / "copy")
    assert refusal(lambda: check_target(target, places)).code is code


def test_where_the_folder_above_is_missing_it_is_named_and_how_to_make_it(tmp_path: Path, places: Places) -> None:
    target = tmp_path / "my disk" / "copy"
    refused = refusal(lambda: check_target(target, places))
    assert refused.code is Code.NOT_FOUND
    assert refused.message == f"cannot make a backup in {target}: there is no folder {target.parent}"
    assert refused.hint == f"make it: mkdir -p '{target.parent}'"


def test_a_link_into_the_data_folder_leads_nowhere_else(tmp_path: Path, places: Places) -> None:
    (tmp_path / "link").symlink_to(places.data)
    assert refusal(lambda: check_target(tmp_path / "link" / "copy", places)).code is Code.INVALID


@pytest.mark.skipif(os.geteuid() == 0, reason="NOT TESTED: root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, places: Places) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    assert refusal(lambda: check_target(tmp_path / "shut" / "copy", places)).code is Code.DENIED


def test_a_folder_that_is_not_there_or_is_empty_will_do(tmp_path: Path, places: Places) -> None:
    assert check_target(tmp_path / "copy", places) == tmp_path / "copy"
    (tmp_path / "copy").mkdir()
    assert check_target(tmp_path / "copy", places) == tmp_path / "copy"


# -- Whole or not at all -----------------------------------------------------------------------------------------
def test_nothing_stands_under_its_name_before_all_is_there(tmp_path: Path) -> None:
    with growing(tmp_path / "copy") as grown:
        (grown / "file").touch()
        assert not (tmp_path / "copy").exists()
        assert grown.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".gitignore", "copy", "file"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with growing(tmp_path / "copy") as grown:
            (grown / "file").touch()
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stuck", ["a", "keys/town.key", "z"])
def test_what_cannot_be_removed_keeps_nothing_else_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    unlink = Path.unlink
    names = ["a", "keys/replica.key", "keys/town.key", "log/data.mdb", "z"]

    def fail() -> None:
        with growing(tmp_path / "copy") as grown:
            for name in names:
                (grown / name).parent.mkdir(exist_ok=True)
                (grown / name).touch()
            (grown / "link").symlink_to(tmp_path)
            kept = grown / stuck
            monkeypatch.setattr(Path, "unlink", lambda path: fail_at(path, kept))
            raise ValueError

    def fail_at(path: Path, kept: Path) -> None:
        if path == kept:
            raise PermissionError(1, "stuck", str(path))
        unlink(path)

    with pytest.raises(ValueError):  # noqa: PT011 - the very one
        fail()
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == [Path(stuck).name]


def test_what_somebody_put_there_meanwhile_stays(tmp_path: Path) -> None:
    def make() -> None:
        with growing(tmp_path / "copy"):
            filled(tmp_path / "copy")

    assert "cannot make a backup" in refusal(make).message
    assert [path.name for path in tmp_path.rglob("*")] == ["copy", "mine"]


def test_git_takes_nothing_of_it_along_neither_of_a_whole_one_nor_while_it_grows(tmp_path: Path) -> None:
    def taken() -> str:
        shown = subprocess.run(
            ["git", "-C", tmp_path, "add", "--dry-run", "."], capture_output=True, text=True, check=True, timeout=60
        )
        return shown.stdout

    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    with growing(tmp_path / "copy") as grown:
        (grown / "keys").mkdir()
        (grown / "keys" / "town.key").write_text("secret")
        assert taken() == ""
    assert (tmp_path / "copy" / "keys" / "town.key").exists()
    assert taken() == ""


# -- What is copied ----------------------------------------------------------------------------------------------
def test_keys_and_rules_are_copied_and_neither_leavings_nor_recovery_words(tmp_path: Path, places: Places) -> None:
    (tmp_path / "copy").mkdir()
    copy_small(sources(places), tmp_path / "copy")
    copied = sorted(path for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert {path.name: path.read_text() for path in copied} == {"access.toml": "access.toml", "town.key": "town.key"}
    assert {path.stat().st_mode & 0o777 for path in copied} == {0o600}


def test_a_pipe_in_place_of_a_key_holds_nothing_up(tmp_path: Path, places: Places) -> None:
    os.mkfifo(places.keys / "pipe.key")
    (tmp_path / "copy").mkdir()
    assert refusal(lambda: copy_small(sources(places), tmp_path / "copy")).code is Code.DENIED


# -- What it tells -----------------------------------------------------------------------------------------------
def listed(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    for name in ("data.mdb", "owner", "lock.mdb"):
        (tmp_path / "log" / name).write_text(name)
    write_list(tmp_path, MADE)
    return tmp_path


def test_its_list_names_each_file_with_its_sum_and_nothing_that_an_open_store_leaves(tmp_path: Path) -> None:
    contents = read_list(listed(tmp_path))
    assert list(contents.files) == ["log/data.mdb"]
    assert msgspec.structs.replace(contents, files={}, sum="") == MADE
    assert list(differing(tmp_path, contents)) == []


def test_what_keeps_git_away_is_no_part_of_what_was_copied_and_may_be_missing(tmp_path: Path) -> None:
    with growing(tmp_path / "copy") as grown:
        contents = read_list(listed(grown))
    assert list(contents.files) == ["log/data.mdb"]
    (tmp_path / "copy" / ".gitignore").unlink()
    assert list(differing(tmp_path / "copy", contents)) == []


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"format": 1}'])
def test_a_list_that_is_none_is_damaged(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "backup.json").write_bytes(text)
    assert refusal(lambda: read_list(tmp_path)).code is Code.STORE_DAMAGED


def test_a_number_that_was_changed_in_the_list_is_noticed(tmp_path: Path) -> None:
    path = listed(tmp_path) / "backup.json"
    path.write_text(path.read_text().replace('"events": 3', '"events": 4'))
    assert refusal(lambda: read_list(tmp_path)).code is Code.STORE_DAMAGED


def test_one_of_a_later_moot_asks_for_that(tmp_path: Path) -> None:
    write_list(tmp_path, msgspec.structs.replace(MADE, format=FORMAT + 1))
    assert refusal(lambda: read_list(tmp_path)).code is Code.BAD_VERSION


def test_a_pipe_in_a_backup_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "backup.json")
    assert refusal(lambda: read_list(tmp_path)).code is Code.DENIED


def test_a_disk_itself_is_no_place_since_what_grows_would_lie_beside_it(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    refused = refusal(lambda: check_target(tmp_path / "disk", places))
    assert "is a disk itself" in refused.message


def test_on_a_disk_that_keeps_no_modes_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def open_to_all(path: Path, _mode: int = 0) -> None:
        mkdir(path)
        path.chmod(0o755)

    monkeypatch.setattr(Path, "mkdir", open_to_all)

    def make() -> None:
        with growing(tmp_path / "copy"):
            pytest.fail("it would hold keys that others can read")

    assert refusal(make).code is Code.DENIED
    assert list(tmp_path.iterdir()) == []
