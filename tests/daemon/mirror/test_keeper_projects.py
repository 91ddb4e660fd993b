"""A mirror beside other projects of its plane: a file changes none but its own, and keeps all of its lines."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from moot_protocol.requests.issues import Create, InitProject, IssueFields, Show
from moot_testkit.towns.mirroring import FILE, FOLDER, NEW, Mirrored, content, line, name
from moot_testkit.towns.town import PROJECT
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.mirroring import plane_number
from mootd.engine.unit import Unit
from mootd.mirror import intake

OTHER, THEIRS = "other", "other-v"
THREE = (line(1), line(2), line(3))
CHANGED = line(2, "Changed", updated_at=NEW)
NEWER = (line(1), CHANGED, line(3))
"""A state that more than one line tells from the first, so that what comes from it differs least from it."""


@pytest.fixture
def mirrored() -> Mirrored:
    """A project with a mirror, beside another one with one issue."""
    mirrored = Mirrored(content(*THREE))
    mirrored.api.call(InitProject(actor="ada", prefix=OTHER))
    mirrored.api.call(Create(actor="ada", project=OTHER, id=THEIRS, fields=IssueFields(title="Theirs")))
    mirrored.quiet()
    return mirrored


def their_line(title: str = "Through the file", **fields: Any) -> bytes:
    """A line of the other project's issue that says something else of it."""
    return line(9, title, **{"id": THEIRS, "updated_at": NEW} | fields)


DELETED = their_line(status="tombstone", deleted_at=NEW, deleted_by="eve")


def theirs(mirrored: Mirrored) -> dict[str, Any]:
    """The other project's issue, and nothing that only tells when it was read."""
    shown: dict[str, Any] = mirrored.api.call(Show(ids=(THEIRS,)))[0]
    return shown


def move(mirrored: Mirrored, issue: str, project: str) -> None:
    """Let an issue belong to another project."""

    def work(unit: Unit) -> None:
        editor = IssueEditor(unit, plane_number(unit.replica, mirrored.row.plane), issue, "ada")
        editor.set("project", project)
        editor.save()

    mirrored.api.member.commit(work)


# -- What a file says of them ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "said",
    [
        their_line(),
        their_line(status="closed", closed_at=NEW),
        DELETED,
        their_line(
            labels=["x"],
            comments=[{"text": "x", "author": "eve"}],
            dependencies=[{"depends_on_id": name(1), "type": "blocks"}],
        ),
        b'{"id":"demo-0007",' + their_line()[1:],
        their_line(updated_at="2020-01-01T00:00:00Z"),
        their_line(created_by="cy"),
    ],
)
def test_a_new_line_of_another_projects_issue_changes_nothing_and_stays(mirrored: Mirrored, said: bytes) -> None:
    before, shown = mirrored.events, theirs(mirrored)
    mirrored.shows(*THREE, said)
    mirrored.quiet()
    assert (mirrored.events, theirs(mirrored), mirrored.lines) == (before, shown, [*THREE, said])
    row = mirrored.row
    assert (row.left_alone, row.left_alone_ids, row.left_out, row.problem) == (1, (THEIRS,), 0, "")


@pytest.mark.parametrize("said", [their_line("Again"), DELETED, their_line(updated_at="2020-01-01T00:00:00Z")])
def test_neither_does_one_that_changes(mirrored: Mirrored, said: bytes) -> None:
    mirrored.shows(*NEWER, their_line())
    before, shown = mirrored.events, theirs(mirrored)
    mirrored.shows(*NEWER, said)
    mirrored.quiet()
    assert (mirrored.events, theirs(mirrored), mirrored.lines) == (before, shown, [*NEWER, said])
    assert (mirrored.row.left_alone, mirrored.row.older, mirrored.row.is_behind) == (1, 0, False)


def test_one_that_is_gone_is_not_missed_and_deletes_nothing_whatever_is_asked(mirrored: Mirrored) -> None:
    mirrored.shows(*NEWER, their_line())
    shown = theirs(mirrored)
    mirrored.shows(*NEWER[:2])
    assert (mirrored.row.missing, mirrored.row.left_alone) == ((name(3),), 0)
    mirrored.put(missing=(name(3), THEIRS))  # as an earlier release noted it
    mirrored.keeper.sync(full=False, delete_missing=True)
    assert (theirs(mirrored), mirrored.show(3)["status"]) == (shown, "tombstone")


def test_nor_does_accepting_a_mass_change(mirrored: Mirrored) -> None:
    mirrored.shows(*THREE, their_line())
    shown = theirs(mirrored)
    mirrored.shows(line(1))
    assert mirrored.row.doubt is not None
    mirrored.keeper.resume(accept=True)
    assert (theirs(mirrored), mirrored.show(3)["status"]) == (shown, "tombstone")


def test_what_the_other_lines_say_is_taken_in_and_the_log_tells_of_those_left_alone(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PAIRS_AT_ONCE", 1)
    with capture_logs() as logged:
        mirrored.shows(*NEWER, their_line(), line(4))
        mirrored.quiet()
    assert logged == [
        {"event": "mirror.left_alone", "log_level": "warning", "file": f"{FOLDER}/{FILE}", "lines": 1,
         "issues": [THEIRS]},
    ]  # fmt: skip
    assert (mirrored.title(2), mirrored.title(4)) == ("Changed", "Issue 4")
    assert (theirs(mirrored)["title"], mirrored.row.left_alone) == ("Theirs", 1)


def test_an_own_line_may_lead_to_another_projects_issue_and_adds_nothing_to_it_whatever_it_names(
    mirrored: Mirrored,
) -> None:
    shown = theirs(mirrored)
    named = {"issue_id": THEIRS}
    edges = [named | {"depends_on_id": name(1), "type": "blocks"}, {"depends_on_id": THEIRS, "type": "blocks"}]
    mirrored.shows(*THREE, line(4, dependencies=edges, comments=[named | {"text": "Done", "author": "eve"}]))
    own, other = mirrored.show(4), theirs(mirrored)
    assert [each["depends_on_id"] for each in own["dependencies"]] == [name(1), THEIRS]
    assert [each["text"] for each in own["comments"]] == ["Done"]
    assert [each["id"] for each in other.pop("dependents")] == [name(4)]
    assert other == shown


def test_an_id_that_no_issue_has_becomes_one_of_the_mirrors_project_whatever_it_begins_with(
    mirrored: Mirrored,
) -> None:
    mirrored.shows(*THREE, line(9, "New", id="other-w"))
    mirrored.retitle(1, "Mine")
    mirrored.shows(*THREE, line(9, "Newer", id="other-w", updated_at=NEW))
    assert mirrored.api.call(Show(ids=("other-w",)))[0]["title"] == "Newer"
    assert mirrored.row.left_alone == 0


def test_the_next_change_and_another_branch_tell_of_none_any_more(mirrored: Mirrored) -> None:
    said = their_line()
    mirrored.shows(*THREE, said)
    mirrored.shows(*NEWER, said)
    assert (mirrored.row.left_alone, mirrored.row.left_alone_ids) == (0, ())
    mirrored.shows(*NEWER, their_line("Again"))
    assert mirrored.row.left_alone == 1
    mirrored.shows(*THREE, said)
    assert (mirrored.row.left_alone, mirrored.row.left_alone_ids) == (0, ())


def test_writing_the_whole_file_keeps_its_lines_of_other_projects(mirrored: Mirrored) -> None:
    said = their_line()
    mirrored.shows(*THREE, said)
    mirrored.retitle(1, "Mine")
    mirrored.keeper.sync(full=True, delete_missing=False)
    assert (b'"title":"Mine"' in mirrored.lines[0], mirrored.lines[1:]) == (True, [line(2), line(3), said])


def test_an_older_line_of_another_projects_issue_makes_no_earlier_version_of_a_file(mirrored: Mirrored) -> None:
    mirrored.shows(*NEWER, their_line())
    mirrored.retitle(1, "Waits")
    mirrored.shows(*NEWER, their_line(updated_at="2020-01-01T00:00:00Z"))
    assert not mirrored.row.is_behind
    mirrored.quiet()
    assert b'"title":"Waits"' in mirrored.lines[0]


# -- Issues that move --------------------------------------------------------------------------------------------
def test_an_issue_that_comes_to_the_mirrors_project_is_followed_from_then_on(mirrored: Mirrored) -> None:
    mirrored.shows(*THREE, their_line())
    move(mirrored, THEIRS, PROJECT)
    mirrored.quiet()
    assert b'"title":"Theirs"' in mirrored.lines[3]
    mirrored.shows(*THREE, mirrored.lines[3].replace(b'"Theirs"', b'"Ours"'))
    assert (theirs(mirrored)["title"], mirrored.row.left_alone) == ("Ours", 0)


def test_an_issue_that_goes_to_another_project_is_left_alone_from_then_on(mirrored: Mirrored) -> None:
    move(mirrored, name(2), OTHER)
    mirrored.quiet()
    mirrored.shows(line(1), CHANGED, line(3))
    mirrored.quiet()
    assert (mirrored.title(2), mirrored.lines, mirrored.row.left_alone) == ("Issue 2", [line(1), CHANGED, line(3)], 1)
