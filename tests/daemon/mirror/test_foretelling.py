"""What bringing a mirror into step would do is what it then does, and nothing of it is done before."""

from typing import Any

import pytest

from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.requests.mirrors import MirrorResume, MirrorSync
from moot_testkit.towns.mirroring import FILE, FOLDER, NEW, Mirrored, content, line
from moot_testkit.towns.trying import kept
from mootd.mirror.foretelling import Foretelling

SYNC = MirrorSync(folder=FOLDER, file=FILE, dry_run=True)
HELD = content(line(1), line(2), line(3))
COUNTED = ("created", "updated", "deleted")


def foretold(world: Mirrored, request: MirrorSync | MirrorResume) -> dict[str, Any]:
    """What it would do; the machine and the file stay as they are."""
    member, before, held = world.api.member, kept(world.api.member), world.file.content

    def try_out(work: Any) -> Any:
        return member.commit(lambda unit: unit.try_out(work))

    told = Foretelling(try_out, member.replica, world.row, world.file.read()).of(request)
    assert kept(member) == before
    assert world.file.content == held
    return told


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ((line(1), line(2), line(3)), (0, 0, 0)),
        ((line(1, "Theirs", updated_at=NEW), line(2), line(3), line(4)), (1, 1, 0)),
        ((line(1), line(2)), (0, 0, 0)),
    ],
)
def test_what_would_be_taken_in_is_counted(lines: tuple[bytes, ...], counts: tuple[int, int, int]) -> None:
    world = Mirrored(HELD)
    world.file.write(content(*lines))
    told = foretold(world, SYNC)
    assert tuple(told[name] for name in COUNTED) == counts
    assert (told["problem"], told["doubt"]) == ("", None)


def test_issues_whose_lines_are_gone_would_be_deleted_where_that_is_asked() -> None:
    world = Mirrored(HELD)
    world.file.write(content(line(1), line(2)))
    asked = MirrorSync(folder=FOLDER, file=FILE, delete_missing=True, dry_run=True)
    assert foretold(world, asked)["deleted"] == 1


def test_a_mass_change_would_be_asked_about_and_accepting_it_would_delete() -> None:
    world = Mirrored(HELD)
    world.file.write(b"")
    told = foretold(world, SYNC)
    assert (told["doubt"].gone, told["deleted"], told["writes"]) == (3, 0, False)
    accept = MirrorResume(folder=FOLDER, file=FILE, accept=True, dry_run=True)
    assert foretold(world, accept)["deleted"] == 3
    discard = MirrorResume(folder=FOLDER, file=FILE, accept=False, dry_run=True)
    assert (foretold(world, discard)["deleted"], foretold(world, discard)["writes"]) == (0, True)


def test_lines_of_other_projects_issues_that_would_be_left_alone_are_told() -> None:
    world = Mirrored(HELD)
    world.api.call(InitProject(actor="ada", prefix="other"))
    world.api.call(Create(actor="ada", project="other", id="other-v", fields=IssueFields(title="Theirs")))
    world.quiet()
    world.file.write(content(line(1), line(2), line(3), line(4), line(9, "Ours", id="other-v", updated_at=NEW)))
    told = foretold(world, SYNC)
    assert (told["created"], told["left_alone"], told["left_alone_ids"]) == (1, 1, ["other-v"])


def test_a_file_in_place_of_the_mirrored_one_would_be_told_as_the_keeper_tells_it() -> None:
    world = Mirrored(HELD)
    world.file.write(b"# Notes")
    told = foretold(world, SYNC)["problem"]
    world.quiet()
    assert told == world.row.problem
    assert told.startswith("it was replaced")


def test_a_file_that_can_not_be_read_would_be_a_problem() -> None:
    world = Mirrored(HELD)
    world.file.write(content(b"<<<<<<< HEAD", line(1)))
    told = foretold(world, SYNC)
    assert ("conflict marker" in told["problem"], told["writes"]) == (True, False)


def test_the_file_would_change_where_the_log_has_changed() -> None:
    world = Mirrored(HELD)
    assert foretold(world, SYNC)["writes"] is False
    world.retitle(1, "Ours")
    assert foretold(world, SYNC)["writes"] is True


def test_what_waited_would_be_written_into_the_newer_version_that_is_back() -> None:
    world = Mirrored(HELD)
    newer = (line(1), line(2, "Changed", updated_at=NEW), line(3))
    world.shows(*newer)
    world.shows(line(1), line(2), line(3))
    world.retitle(1, "Ours")
    world.quiet()
    world.file.write(content(*newer))
    assert foretold(world, SYNC)["writes"] is True
    world.keeper.sync(full=False, delete_missing=False)
    assert b'"title":"Ours"' in world.lines[0]


def test_discarding_would_bring_an_earlier_version_up_to_date() -> None:
    world = Mirrored(HELD)
    world.shows(line(1), line(2, "Changed", updated_at=NEW), line(3))
    world.shows(line(1), line(2), line(3))
    world.shows()
    world.file.write(HELD)
    discard = MirrorResume(folder=FOLDER, file=FILE, accept=False, dry_run=True)
    assert foretold(world, discard)["writes"] is True
    world.keeper.resume(accept=False)
    assert b'"title":"Changed"' in world.lines[1]


def test_what_is_older_would_bring_nothing_and_get_nothing() -> None:
    world = Mirrored(content(line(1), line(2, "Changed", updated_at=NEW), line(3)))
    world.retitle(1, "Waits")
    world.file.write(HELD)
    told = foretold(world, SYNC)
    assert (told["updated"], told["writes"]) == (0, False)
    world.keeper.sync(full=False, delete_missing=False)
    assert (world.title(2), world.file.content) == ("Changed", HELD)
