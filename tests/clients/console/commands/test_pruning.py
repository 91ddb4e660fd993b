"""prune and purge against a real daemon's service: what goes, what stays, how it is told."""

import json
from typing import Any

import pytest

from moot.console.commands.pruning import COMMANDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests import Close, ListIssues
from moot_testkit.canned_api import run
from moot_testkit.pouring import Pourer


class Town(Pourer):
    def closed(self, title: str, **fields: Any) -> str:
        issue = self.create(title, **fields)
        self.call(Close(actor="ada", id=issue))
        return issue

    def do(self, argv: str) -> str:
        return run(COMMANDS, argv, self, project="demo").out  # type: ignore[arg-type]  # it answers as an Api does

    def left(self) -> set[str]:
        return {issue["title"] for issue in self.call(ListIssues(all=True, limit=0)).issues}


@pytest.fixture
def town() -> Town:
    town = Town()
    town.closed("old")
    town.closed("passing", ephemeral=True)
    town.create("open")
    town.closed("pinned", pinned=True)
    return town


def test_nothing_is_pruned_unless_it_is_said_what_and_meant(town: Town) -> None:
    with pytest.raises(RefusedError):
        town.do("prune")
    assert "Would prune 1 closed issue" in town.do("prune --pattern demo-*")
    assert town.left() == {"old", "passing", "open", "pinned"}


def test_prune_deletes_what_is_closed_and_neither_pinned_nor_ephemeral(town: Town) -> None:
    told = json.loads(town.do("prune --pattern * --force --json"))
    assert (told["pruned_count"], told["skipped_pinned"], told["pattern"]) == (1, 1, "*")
    assert town.left() == {"passing", "open", "pinned"}


def test_what_an_open_issue_names_stays_unless_that_is_not_to_matter(town: Town) -> None:
    named = town.closed("named")
    town.create("asks", description=f"see {named}")
    town.do("prune --pattern * --force")
    assert "named" in town.left()
    town.do("prune --pattern * --force --ignore-references")
    assert "named" not in town.left()


def test_purge_deletes_ephemeral_issues_and_a_trial_none(town: Town) -> None:
    tried = json.loads(town.do("purge --dry-run --json"))
    assert (tried["purged_count"], tried["purge_count"], tried["dry_run"]) == (1, 1, True)
    assert json.loads(town.do("purge --json"))["purged_count"] == 1
    assert town.left() == {"old", "open", "pinned"}
    assert town.do("purge") == "Nothing to purge\n"


@pytest.mark.parametrize(("age", "count"), [("30", 1), ("30d", 1), ("900d", 0), ("200w", 0)])
def test_only_what_was_closed_so_long_ago_goes(town: Town, age: str, count: int) -> None:
    told = json.loads(town.do(f"prune --older-than {age} --json"))
    assert (told["pruned_count"], told["dry_run"]) == (count, True)


def test_an_age_that_is_none_is_refused(town: Town) -> None:
    with pytest.raises(RefusedError, match="no number of days"):
        town.do("prune --older-than 3x")
