"""One suite for a mirrored file on the disk and its twin in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIRROR_BYTES
from mootd.edges.memory_files import MemoryFile
from mootd.edges.mirror_file import DiskFile
from mootd.files import MirrorFile


class Subject(NamedTuple):
    file: MirrorFile
    write: Callable[[bytes | None], object]
    """What another program does to it."""
    link: Callable[[], object]
    """Put a link in its place."""


def on_disk(folder: Path) -> Subject:
    path = folder / ".beads" / "issues.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"old")

    def write(content: bytes | None) -> None:
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    def link() -> None:
        path.rename(folder / "elsewhere")
        path.symlink_to(folder / "elsewhere")

    return Subject(DiskFile(str(folder), ".beads/issues.jsonl"), write, link)


def in_memory(_: Path) -> Subject:
    file = MemoryFile(b"old")
    return Subject(file, file.write, lambda: setattr(file, "is_link", True))


def kept_on_disk(folder: Path) -> Subject:
    (folder / ".git").mkdir()
    return on_disk(folder / ".git")


def kept_in_memory(folder: Path) -> Subject:
    file = MemoryFile(b"old")
    file.is_kept = True
    return in_memory(folder)._replace(file=file)


@pytest.fixture(params=[kept_on_disk, kept_in_memory])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    made: Subject = request.param(tmp_path)
    return made


@pytest.fixture(params=[on_disk, in_memory])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    made: Subject = request.param(tmp_path)
    return made


def refusal(work: Callable[[], object]) -> Code:
    with pytest.raises(RefusedError) as refused:
        work()
    return refused.value.code


def test_what_is_there_is_read(subject: Subject) -> None:
    assert subject.file.read() == b"old"


def test_a_change_shows_in_the_stamp_and_looking_does_not(subject: Subject) -> None:
    before = subject.file.stamp()
    assert subject.file.stamp() == before
    subject.write(b"newer")
    assert subject.file.stamp() != before


def test_what_was_expected_is_replaced(subject: Subject) -> None:
    assert subject.file.replace(b"old", b"new")
    assert subject.file.read() == b"new"


def test_what_was_not_expected_stays(subject: Subject) -> None:
    assert not subject.file.replace(b"other", b"new")
    assert subject.file.read() == b"old"


def test_where_nothing_is_there_is_no_stamp_and_nothing_is_made(subject: Subject) -> None:
    subject.write(None)
    assert subject.file.stamp() is None
    assert refusal(subject.file.read) is Code.NOT_FOUND
    assert refusal(lambda: subject.file.replace(b"old", b"new")) is Code.NOT_FOUND
    assert subject.file.stamp() is None


def test_a_link_is_refused_for_everything(subject: Subject) -> None:
    subject.link()
    for work in (subject.file.stamp, subject.file.read, lambda: subject.file.replace(b"old", b"new")):
        assert refusal(work) is Code.DENIED


def test_a_place_of_the_users_own_is_none_to_refuse(subject: Subject) -> None:
    subject.file.check_place()


def test_where_git_keeps_its_own_nothing_is_written(kept: Subject) -> None:
    assert refusal(kept.file.check_place) is Code.DENIED
    assert refusal(lambda: kept.file.replace(b"old", b"new")) is Code.DENIED
    assert kept.file.read() == b"old"


def test_a_file_that_is_too_large_is_refused(subject: Subject) -> None:
    subject.write(bytes(MIRROR_BYTES + 1))
    assert refusal(subject.file.read) is Code.LIMIT
