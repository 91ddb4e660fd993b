"""Conflicts: every value that a field or a document has, by whom and when."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.conflicts import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.documents import DocumentConflicts
from moot_protocol.requests.issues import Conflicts
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, run
from moot_testkit.clients.terminal import FACTS


def value(told: Any, actor: str, hours: int) -> dict[str, Any]:
    return {"value": told, "actor": actor, "at": NOW_MS - hours * 3_600_000, "author": "k", "n": 1}


def answering(conflicts: Any, documents: Any = ()) -> CannedApi:
    """A daemon with these conflicts of issues and of documents."""
    return CannedApi(conflicts=conflicts, document_conflicts=list(documents), documents=[{"name": "reviewer"}])


CONFLICTS = [
    {"id": "bd-1", "field": "priority", "shown": 0, "values": [value(0, "alice", 1), value(2, "bob", 26)]},
    {
        "id": "bd-2",
        "field": "description",
        "shown": "One\ntwo",
        "values": [value("One\ntwo", "alice", 1), value("", "eve\u202e", 1), value("x" * 300, "bob", 3)],
    },
]


def test_a_value_that_an_undo_put_back_is_told_with_who_wrote_it_and_who_put_it_back() -> None:
    back = value("One", "alice", 1) | {"put_back_by": "bob\u202e"}
    told = [{"id": "bd-1", "field": "title", "shown": "One", "values": [back, value("Two", "bob", 1)]}]
    shown = run(COMMANDS, "conflicts", answering(told)).out.splitlines()
    assert shown[1:3] == ["    1. One (alice, 1h ago, put back by bob<U+202E>)", "    2. Two (bob, 1h ago)"]


def test_the_name_of_a_value_stands_behind_it() -> None:
    told = [
        {"id": "bd-1", "field": "title", "shown": "One", "values": [value("One", "alice", 1) | {"name": "v12ab34cd"}]}
    ]
    assert run(COMMANDS, "conflicts", answering(told)).out.splitlines()[1] == "    1. One (alice, 1h ago) v12ab34cd"


def test_values_are_numbered_as_resolve_picks_them() -> None:
    assert (
        run(COMMANDS, "conflicts", answering(CONFLICTS)).out
        == f"""\
  bd-1 priority shows 0
    1. 0 (alice, 1h ago)
    2. 2 (bob, 1d ago)
  bd-2 description shows One⏎two
    1. One⏎two (alice, 1h ago)
    2. (empty) (eve<U+202E>, 1h ago)
    3. {"x" * 199}… (bob, 3h ago)
  settle one with `moot resolve ID FIELD --pick NUMBER`, or by its name, which never moves
"""
    )


def test_a_deleted_issue_is_marked_and_a_deletion_told_in_words() -> None:
    said = [value(["alice", "wrong", 5], "alice", 2), value(["", "", None], "bob", 2), value(None, "carol", 1)]
    conflicts = [
        {"id": "bd-1", "field": "deleted", "shown": ["alice", "wrong", 5], "values": [*said], "deleted": True},
        {"id": "bd-1", "field": "title", "shown": "B", "values": [value("A", "alice", 1)], "deleted": True},
        {"id": "bd-2", "field": "deleted", "shown": None, "values": [value(7, "eve", 1)]},
    ]
    assert run(COMMANDS, "conflicts", answering(conflicts)).out.splitlines()[:-1] == [
        "  bd-1 (deleted) deleted shows deleted by alice: wrong",
        "    1. deleted by alice: wrong (alice, 2h ago)",
        "    2. deleted (bob, 2h ago)",
        "    3. (not deleted) (carol, 1h ago)",
        "  bd-1 (deleted) title shows B",
        "    1. A (alice, 1h ago)",
        "  bd-2 deleted shows (not deleted)",
        "    1. 7 (eve, 1h ago)",
    ]


def test_the_hint_names_the_program_as_it_was_called() -> None:
    ran = run(COMMANDS, "conflicts", answering(CONFLICTS), FACTS._replace(program="bd"))
    assert ran.out.endswith("settle one with `bd resolve ID FIELD --pick NUMBER`, or by its name, which never moves\n")


def test_conflicts_of_one_issue_can_be_asked_for() -> None:
    api = answering([])
    ran = run(COMMANDS, "conflicts a1b2", api)
    assert api.asked == [Conflicts(id="a1b2")]
    assert (ran.code, ran.out, ran.err) == (0, "", "no conflicts\n")


def test_json_has_every_value_whole() -> None:
    assert json.loads(run(COMMANDS, "conflicts --json", answering(CONFLICTS)).out) == CONFLICTS
    assert run(COMMANDS, "conflicts --json", answering([])).out == "[]\n"


# -- Documents ---------------------------------------------------------------------------------------------------
OF_ROLE = {
    "id": "role/reviewer", "field": "document", "kind": "role", "name": "reviewer", "plane": "shared", "shown": None,
    "values": [value("a", "ann", 1) | {"diff": "+a\n", "version": "", "town": "T" * 43, "town_name": "Adaville"}],
}  # fmt: skip
MISSING = RefusedError("no issue reviewer", code=Code.NOT_FOUND)


def test_documents_stand_below_issues() -> None:
    ran = run(COMMANDS, "conflicts", answering(CONFLICTS, [OF_ROLE]))
    assert ran.asked == [Conflicts(), DocumentConflicts()]
    assert ran.out.partition("--pick NUMBER`, or by its name, which never moves\n")[2].splitlines() == [
        "  role/reviewer document on plane shared shows nothing",
        "    1. (ann, town Adaville TTTTTTTTTTTT, 1h ago)",
        "       +a",
        "  settle one with `moot resolve KIND/NAME document --pick NUMBER`, or by its name, which never moves",
    ]


def test_json_has_documents_after_issues_whose_shape_stays() -> None:
    ran = run(COMMANDS, "conflicts --json", answering(CONFLICTS, [OF_ROLE]))
    assert json.loads(ran.out) == [*CONFLICTS, OF_ROLE]


@pytest.mark.parametrize("typed", ["role/reviewer", "reviewer"])
def test_conflicts_of_one_document_can_be_asked_for(typed: str) -> None:
    ran = run(COMMANDS, f"conflicts {typed}", answering(MISSING, [OF_ROLE]))
    assert ran.asked[-1] == DocumentConflicts(name=typed)
    assert ran.out.startswith("  role/reviewer document")


@pytest.mark.parametrize("typed", ["builder", "bd-0000", "BD-1"])
def test_what_is_neither_an_issue_nor_a_document_is_not_found(typed: str) -> None:
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, f"conflicts {typed}", answering(MISSING))
    assert caught.value is MISSING


def test_an_issue_s_other_failures_are_not_taken_for_a_document() -> None:
    several = RefusedError("several", code=Code.AMBIGUOUS)
    with pytest.raises(RefusedError) as caught:
        run(COMMANDS, "conflicts reviewer", answering(several))
    assert caught.value is several
