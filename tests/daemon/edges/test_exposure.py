"""What holds secrets: open to others it is told of, and closing it takes their rights and nothing else."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from moot.console.notices.recovery_words import file_of
from mootd.edges.exposure import (
    RECOVERY_WORDS,
    Kept,
    close_all,
    close_to_others,
    data_kept,
    exposures,
    keys_kept,
    words_kept,
)
from mootd.edges.paths import Places
from mootd.store.lmdb_store import LmdbStore


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A machine's places with a file in each, all of them private."""
    found = Places(tmp_path / "data", tmp_path / "config" / "config.toml", tmp_path / "state", tmp_path / "run")
    for folder in (found.data, found.data / "log", found.keys, found.config_file.parent):
        folder.mkdir(mode=0o700)
    for path in (found.data / "log" / "data.mdb", found.keys / "town.key", found.config_file, words(found)):
        path.touch(0o600)
    return found


def words(places: Places) -> Path:
    return places.config_file.parent / "recovery-words-abc.txt"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def everything(places: Places) -> list[Kept]:
    return [*data_kept(places), *keys_kept(places), *words_kept(places)]


def told(places: Places) -> list[tuple[str, str]]:
    return [(error.message, error.hint) for error in exposures(everything(places))]


def test_what_is_private_or_not_there_is_fine(places: Places, tmp_path: Path) -> None:
    assert told(places) == []
    nowhere = Places(tmp_path / "none", tmp_path / "none" / "config.toml", tmp_path / "none", tmp_path / "none")
    assert told(nowhere) == []
    assert close_all(everything(nowhere), is_trial=False) == []


@pytest.mark.parametrize(
    ("name", "open_mode", "closed"),
    [
        ("data", 0o750, 0o700), ("data/log", 0o701, 0o700), ("data/log/data.mdb", 0o640, 0o600),
        ("data/keys", 0o711, 0o700), ("data/keys/town.key", 0o604, 0o600),
        ("config/recovery-words-abc.txt", 0o644, 0o600),
    ],
)  # fmt: skip
def test_whatever_is_open_to_others_is_told_with_its_mode_and_closed(
    places: Places, tmp_path: Path, name: str, open_mode: int, closed: int
) -> None:
    path = tmp_path / name
    path.chmod(open_mode)
    assert told(places) == [
        (f"{path} is open to others (mode {open_mode:04o})", f"close it: chmod {closed:o} {path}"),
    ]
    assert close_all(everything(places), is_trial=True) == [path]
    assert mode(path) == open_mode
    assert close_all(everything(places), is_trial=False) == [path]
    assert mode(path) == closed
    assert told(places) == []


def test_the_words_looked_for_are_those_that_clients_lay_there() -> None:
    assert Path(file_of({"HOME": "/home/ada"}, "T0wn-key")).match(f"/home/ada/.config/moot/{RECOVERY_WORDS}")


def test_settings_are_no_secret(places: Places) -> None:
    places.config_file.chmod(0o644)
    assert told(places) == []


def test_closing_gives_the_user_no_right_that_was_not_there(places: Places) -> None:
    key = places.keys / "town.key"
    key.chmod(0o444)
    assert close_all(everything(places), is_trial=False) == [key]
    assert mode(key) == 0o400


def test_what_belongs_to_somebody_else_is_told_and_left_alone(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid()
    key = places.keys / "town.key"
    key.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert (
        f"{key} belongs to user {owner}, not to {owner + 1}",
        "find out who made it before you change its owner",
    ) in (told(places))
    assert close_all(everything(places), is_trial=False) == []
    assert mode(key) == 0o644


def test_no_link_is_followed_to_what_is_closed_and_a_pipe_holds_nobody_up(places: Places, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (places.keys / "link.key").symlink_to(elsewhere)
    os.mkfifo(places.keys / "pipe.key", 0o644)
    assert close_all(everything(places), is_trial=False) == []
    assert mode(elsewhere) == 0o644


def test_what_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (error,) = exposures([Kept(tmp_path / "file" / "town.key", 0o600)])
    assert "cannot look at" in error.message


def test_an_open_folder_is_closed_by_its_descriptor(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert [close_to_others(descriptor, is_trial=each) for each in (True, False, False)] == [True, True, False]
    finally:
        os.close(descriptor)
    assert mode(tmp_path) == 0o700


def test_closing_what_is_open_leaves_the_stores_own_locks(tmp_path: Path) -> None:
    places = Places(tmp_path / "data", tmp_path / "config" / "config.toml", tmp_path / "state", tmp_path / "run")
    with closing(LmdbStore.open(places.data / "log")):
        lock = (places.data / "log" / "lock.mdb").stat().st_ino

        def locks() -> list[str]:
            return [line for line in Path("/proc/locks").read_text().splitlines() if f":{lock} " in line]

        before = locks()
        assert before, "LMDB locks it by the process"
        for is_trial in (True, False):
            close_all(data_kept(places), is_trial=is_trial)
        assert locks() == before
