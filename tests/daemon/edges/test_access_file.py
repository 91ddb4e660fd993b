"""The file with the access rules: only from hands that may write it, read again when it has changed."""

import os
from pathlib import Path

import pytest

from moot_protocol.access.rules import AccessRole
from moot_protocol.errors import Code, RefusedError
from mootd.edges.access_file import AccessFile

ALICE = '[users.alice]\nrole = "admin"\n'


@pytest.fixture
def file(tmp_path: Path) -> AccessFile:
    return AccessFile(tmp_path / "moot" / "access.toml")


def refusal(file: AccessFile) -> Code:
    with pytest.raises(RefusedError) as caught:
        file.rules()
    return caught.value.code


def test_where_there_is_no_file_there_are_no_rules(file: AccessFile) -> None:
    assert file.rules() is None
    assert file.last is None


def test_what_was_written_is_read_and_is_private(file: AccessFile) -> None:
    file.write(ALICE)
    rules = file.rules()
    assert rules is not None
    assert rules.users["alice"].role is AccessRole.ADMIN
    assert file.last is rules
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.path.parent.iterdir()] == ["access.toml"]


def test_a_change_is_seen_and_an_unchanged_file_is_not_read_again(file: AccessFile) -> None:
    file.write(ALICE)
    assert file.rules() is file.rules()
    file.write(ALICE.replace("alice", "bob"))
    rules = file.rules()
    assert rules is not None
    assert set(rules.users) == {"bob"}
    file.path.unlink()
    assert file.rules() is None


def test_a_file_that_gives_no_rules_is_not_the_same_as_none(file: AccessFile) -> None:
    file.write(ALICE)
    file.rules()
    file.path.write_text("users = ")
    assert refusal(file) is Code.INVALID
    assert file.last is None
    file.path.write_bytes(b"\xff")
    assert refusal(file) is Code.INVALID


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_gives_no_rules(file: AccessFile, mode: int) -> None:
    file.write(ALICE)
    file.path.chmod(mode)
    assert refusal(file) is Code.DENIED


def test_what_is_no_file_gives_no_rules_and_holds_nobody_up(file: AccessFile) -> None:
    file.path.parent.mkdir(mode=0o700)
    os.mkfifo(file.path)
    assert refusal(file) is Code.DENIED


def test_a_folder_in_its_place_gives_no_rules_and_is_left_closed(file: AccessFile) -> None:
    file.path.mkdir(mode=0o700, parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert refusal(file) is Code.DENIED
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_lets_others_in_is_not_written_to(file: AccessFile) -> None:
    file.path.parent.mkdir()
    file.path.parent.chmod(0o755)
    with pytest.raises(RefusedError):
        file.write(ALICE)
