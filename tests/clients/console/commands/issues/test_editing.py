"""edit: which text goes to the editor, what is written, and what happens when somebody else was faster."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.editing import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import IssueFields, Update
from moot_testkit.clients.canned_api import CannedApi, InTurn, Ran, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

OLD = "One\nTwo\nThree\nFour\nFive"
SHOWN = issue(1, description=OLD, notes="Kept\n")


def tried(argv: str, edited: str | None, *later: dict[str, Any]) -> tuple[Ran, RecordingTerminal]:
    terminal = RecordingTerminal(FACTS, edited=edited)
    api = CannedApi(show=InTurn([[SHOWN], *([each] for each in later or (SHOWN,))]), update=SHOWN)
    return run(COMMANDS, argv, api, terminal=terminal), terminal


def written(ran: Ran) -> IssueFields:
    update = ran.asked[-1]
    assert isinstance(update, Update)
    assert update.id == SHOWN["id"]
    return update.fields


def test_the_description_is_edited_unless_another_text_is_named() -> None:
    ran, terminal = tried("edit x", "One\n")
    assert terminal.to_edit == [OLD]
    assert written(ran) == IssueFields(description="One")
    assert ran.out == "✓ Updated description of bd-000000000001 — Issue 1\n"
    ran, terminal = tried("edit x --notes", "Kept\nMore\n")
    assert terminal.to_edit == ["Kept\n"]
    assert written(ran) == IssueFields(notes="Kept\nMore\n")
    assert written(tried("edit x --acceptance", "New")[0]) == IssueFields(acceptance_criteria="New")


def test_a_title_stays_one_line() -> None:
    assert written(tried("edit x --title", "A new\n title\n")[0]) == IssueFields(title="A new title")


@pytest.mark.parametrize("edited", [OLD, OLD + "\n"])
def test_a_text_left_as_it_was_is_not_written(edited: str) -> None:
    ran, _ = tried("edit x", edited)
    assert len(ran.asked) == 1
    assert ran.out == "Nothing to do: description of bd-000000000001 — Issue 1 is as it was\n"
    document = json.loads(tried("edit x --json", edited)[0].out)
    assert document == SHOWN | {"_unchanged": True}


def test_a_text_that_somebody_else_has_made_the_same_meanwhile_is_told_as_unchanged() -> None:
    api = CannedApi(show=InTurn([[SHOWN], [SHOWN | {"description": "New"}]]), update=SHOWN | {"_unchanged": True})
    ran = run(COMMANDS, "edit x", api, terminal=RecordingTerminal(FACTS, edited="New"))
    assert written(ran) == IssueFields(description="New")
    assert ran.out == "Nothing to do: description of bd-000000000001 — Issue 1 is as it was\n"


def test_a_change_can_be_tried_out() -> None:
    ran, _ = tried("edit x --dry-run --json", "New")
    update = ran.asked[-1]
    assert isinstance(update, Update)
    assert update.dry_run
    assert json.loads(ran.out)


def test_what_others_changed_meanwhile_elsewhere_in_the_text_stays() -> None:
    ran, _ = tried("edit x", OLD.replace("One", "Uno"), SHOWN | {"description": OLD.replace("Five", "Cinque")})
    assert written(ran).description == "Uno\nTwo\nThree\nFour\nCinque"


@pytest.mark.parametrize(
    ("argv", "edited", "meanwhile"),
    [
        ("edit x", OLD.replace("Two", "Due\x1b"), {"description": OLD.replace("Two", "Zwei")}),
        ("edit x --title", "Mine\x1b", {"title": "Theirs"}),
    ],
)
def test_where_both_changed_the_same_nothing_is_written_and_the_text_comes_back(
    argv: str, edited: str, meanwhile: dict[str, Any]
) -> None:
    terminal = RecordingTerminal(FACTS, edited=edited)
    api = CannedApi(show=InTurn([[SHOWN], [SHOWN | meanwhile]]))
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, argv, api, terminal=terminal)
    assert caught.value.code is Code.CONFLICT
    assert terminal.complaints.startswith("Your text:\n")
    assert "^[" in terminal.complaints


def test_without_an_editor_the_reason_is_told() -> None:
    with pytest.raises(RefusedError, match="no terminal"):
        tried("edit x", None)


@pytest.mark.parametrize(
    ("argv", "how"), [("edit x", "`moot update x --body-file -`"), ("edit x --notes", "`moot update x --notes TEXT`")]
)
def test_where_there_is_no_terminal_it_is_told_how_else_the_text_is_passed(argv: str, how: str) -> None:
    with pytest.raises(RefusedError, match="no terminal to edit in") as refused:
        tried(argv, None)
    assert refused.value.hint == f"{how} takes the text"
