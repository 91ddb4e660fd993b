"""A project's folder that is moved or copied, with the real daemon and real files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_testkit.machines.machine import Machine, machine
from moot_testkit.towns.mirroring import content, line, name

FILE = ".beads/issues.jsonl"


@pytest.fixture
def town() -> Iterator[Machine]:
    """A machine with a project in `first` that has a mirror."""
    with machine() as town:
        first = town.folder / "first"
        (first / ".beads").mkdir(parents=True)
        (first / FILE).write_bytes(content(line(1), line(2)))
        assert town.run("init", "--prefix", "demo", "--mirror", folder=first).returncode == 0
        yield town


def folders(town: Machine, folder: Path) -> list[str]:
    """The folders of the workspace's mirrors."""
    told = town.run("mirror", "status", folder=folder).stdout
    return [each.rpartition(f"/{FILE}")[0] for each in told.splitlines() if f"/{FILE} (project" in each]


def where(town: Machine, folder: Path) -> tuple[str, str]:
    """Where a project is said to be, and what is said beside."""
    ran = town.run("where", folder=folder)
    return ran.stdout.splitlines()[0], ran.stderr


def test_a_moved_project_is_found_where_it_is_and_its_mirror_goes_on_when_asked_to(town: Machine) -> None:
    old, new = town.folder / "first", town.folder / "moved"
    old.rename(new)
    place, told = where(town, new)
    assert place == f"{new}/.moot"
    assert told.splitlines() == [
        f"this project lies in {new} now; it was in {old}",
        f"its mirror {old}/{FILE} is not followed here: `moot mirror on` lets it go on",
    ]
    assert where(town, new) == (place, "")
    assert name(1) in town.run("list", folder=new).stdout
    assert folders(town, new) == [str(old)]

    asked = town.run("mirror", "on", folder=new)
    assert f"{new}/{FILE} is a mirror of demo now, in place of {old}/{FILE}" in asked.stdout
    assert folders(town, new) == [str(new)]
    (new / FILE).write_bytes(content(line(1, "From the file", updated_at="2026-03-01T00:00:00Z"), line(2)))
    assert town.run("update", name(2), "--title", "From here", folder=new).returncode == 0
    assert town.run("mirror", "sync", folder=new).returncode == 0
    assert "From the file" in town.run("show", name(1), folder=new).stdout
    assert b"From here" in (new / FILE).read_bytes()


def test_right_after_a_move_a_mirror_is_said_to_be_gone_and_not_to_be_in_step(town: Machine) -> None:
    old, new = town.folder / "first", town.folder / "moved"
    old.rename(new)
    ran = town.run("mirror", "status", folder=new)
    assert f"its mirror {old}/{FILE} is not followed here" in ran.stderr
    assert ran.stdout.startswith(f"{old}/{FILE} (project demo): not followed, the file is gone; ")
    assert "in step" not in ran.stdout
    assert '"state":"problem"' in town.run("mirror", "status", "--json", folder=new).stdout.replace(" ", "")


def test_a_copy_is_told_as_itself_and_the_mirror_stays_with_the_first(town: Machine) -> None:
    first, copy = town.folder / "first", town.folder / "copy"
    shutil.copytree(first, copy)
    held = (copy / FILE).read_bytes()
    for folder in (copy, first, copy):
        assert where(town, folder) == (f"{folder}/.moot", "")
    assert folders(town, copy) == [str(first)]
    assert town.run("update", name(2), "--title", "From the copy", folder=copy).returncode == 0
    assert town.run("mirror", "sync", folder=first).returncode == 0
    assert b"From the copy" in (first / FILE).read_bytes()
    assert (copy / FILE).read_bytes() == held


def test_off_in_a_copy_or_a_moved_folder_takes_no_other_folders_mirror(town: Machine) -> None:
    first, copy, moved = (town.folder / each for each in ("first", "copy", "moved"))
    shutil.copytree(first, copy)
    refused = town.run("mirror", "off", folder=copy)
    assert (refused.returncode, folders(town, copy)) == (3, [str(first)])
    assert f"`moot mirror off {first}/{FILE}` means that one" in refused.stderr
    assert "0 created, 0 updated, 2 unchanged, 0 skipped" in town.run("mirror", "on", folder=copy).stdout
    first.rename(moved)
    assert town.run("mirror", "off", folder=moved).returncode == 0
    assert folders(town, moved) == [str(copy)]
    assert town.run("mirror", "off", f"{copy}/{FILE}", folder=moved).returncode == 0
    assert folders(town, moved) == []


def test_status_notes_a_move_and_leaves_a_copy_alone(town: Machine) -> None:
    first, moved, copy = (town.folder / each for each in ("first", "moved", "copy"))
    first.rename(moved)
    ran = town.run("status", folder=moved)
    assert f"this project lies in {moved} now; it was in {first}" in ran.stderr
    assert f"project demo: 2 issues in {moved}\n" in ran.stdout
    shutil.copytree(moved, copy)
    again = town.run("status", folder=copy)
    assert ("lies in" in again.stderr, f"in {moved}\n" in again.stdout) == (False, True)


def test_a_spool_goes_on_in_the_moved_folder_with_what_waits_in_it_and_status_says_what_to_do_before(
    town: Machine,
) -> None:
    first, moved = town.folder / "first", town.folder / "moved"
    assert town.run("init", "--spool", folder=first).returncode == 0
    first.rename(moved)
    before = town.run("spool", "status", folder=town.folder).stdout.splitlines()
    assert before[0].startswith(f"demo in {first}: ")
    assert before[1] == "  if the project was moved, `moot where` in its new folder lets the spool go on there"
    unaided, sandboxed = town.environment, {**town.environment, "MOOT_SPOOL": "1"}
    town.environment = sandboxed
    assert "Queued for the daemon" in town.run("create", "From a sandbox", folder=moved).stdout
    town.environment = unaided
    assert "its spool goes on here" in where(town, moved)[1]
    town.environment = sandboxed
    assert town.run("create", "And waited for", "--wait=30", folder=moved).returncode == 0
    town.environment = unaided
    listed = town.run("list", folder=moved).stdout
    assert ("From a sandbox" in listed, "And waited for" in listed) == (True, True)
    assert town.run("spool", "status", folder=moved).stdout.startswith(f"demo in {moved}: 0 of")
