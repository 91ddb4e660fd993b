"""Conflicts: every value that a field has, by whom and when."""

import json
from typing import Any

from moot.console.commands.conflicts import COMMANDS
from moot_protocol.requests import Conflicts
from moot_testkit.canned_api import NOW_MS, CannedApi, run
from moot_testkit.terminal import FACTS


def value(told: Any, actor: str, hours: int) -> dict[str, Any]:
    return {"value": told, "actor": actor, "at": NOW_MS - hours * 3_600_000, "author": "k", "n": 1}


CONFLICTS = [
    {"id": "bd-1", "field": "priority", "shown": 0, "values": [value(0, "alice", 1), value(2, "bob", 26)]},
    {
        "id": "bd-2",
        "field": "description",
        "shown": "One\ntwo",
        "values": [value("One\ntwo", "alice", 1), value("", "eve\u202e", 1), value("x" * 300, "bob", 3)],
    },
]


def test_values_are_numbered_as_resolve_picks_them() -> None:
    assert (
        run(COMMANDS, "conflicts", CannedApi(conflicts=CONFLICTS)).out
        == f"""\
  bd-1 priority shows 0
    1. 0 (alice, 1h ago)
    2. 2 (bob, 1d ago)
  bd-2 description shows One⏎two
    1. One⏎two (alice, 1h ago)
    2. (empty) (eve<U+202E>, 1h ago)
    3. {"x" * 199}… (bob, 3h ago)
  settle one with `moot resolve ID FIELD --pick NUMBER`
"""
    )


def test_a_deleted_issue_is_marked_and_a_deletion_told_in_words() -> None:
    said = [value(["alice", "wrong", 5], "alice", 2), value(["", "", None], "bob", 2), value(None, "carol", 1)]
    conflicts = [
        {"id": "bd-1", "field": "deleted", "shown": ["alice", "wrong", 5], "values": [*said], "deleted": True},
        {"id": "bd-1", "field": "title", "shown": "B", "values": [value("A", "alice", 1)], "deleted": True},
        {"id": "bd-2", "field": "deleted", "shown": None, "values": [value(7, "eve", 1)]},
    ]
    assert run(COMMANDS, "conflicts", CannedApi(conflicts=conflicts)).out.splitlines()[:-1] == [
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
    ran = run(COMMANDS, "conflicts", CannedApi(conflicts=CONFLICTS), FACTS._replace(program="bd"))
    assert ran.out.endswith("settle one with `bd resolve ID FIELD --pick NUMBER`\n")


def test_conflicts_of_one_issue_can_be_asked_for() -> None:
    api = CannedApi(conflicts=[])
    ran = run(COMMANDS, "conflicts a1b2", api)
    assert api.asked == [Conflicts(id="a1b2")]
    assert (ran.code, ran.out, ran.err) == (0, "", "no conflicts\n")


def test_json_has_every_value_whole() -> None:
    assert json.loads(run(COMMANDS, "conflicts --json", CannedApi(conflicts=CONFLICTS)).out) == CONFLICTS
    assert run(COMMANDS, "conflicts --json", CannedApi(conflicts=[])).out == "[]\n"
