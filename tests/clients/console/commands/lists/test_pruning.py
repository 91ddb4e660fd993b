"""prune and purge against a real daemon's service: what goes, what stays, how it is told."""

import json
from typing import Any, cast

import pytest

from moot.console.commands.lists.pruning import COMMANDS
from moot.console.terminal import Facts
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddComment, Close, Create, InitProject, IssueFields, ListIssues
from moot_protocol.requests.queries import Query
from moot_protocol.requests.transfer import Export
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.pouring import Pourer
from moot_testkit.clients.terminal import FACTS
from mootd.engine.listing import exporting


class Town(Pourer):
    def closed(self, title: str, **fields: Any) -> str:
        issue = self.create(title, **fields)
        self.call(Close(actor="ada", id=issue))
        return issue

    def do(self, argv: str, project: str = "demo", facts: Facts = FACTS) -> str:
        return run(COMMANDS, argv, cast("CannedApi", self), facts, project=project).out

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


def test_the_texts_of_open_issues_are_gone_through_page_by_page(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LINES", 2)
    named = [town.closed(f"named {number}") for number in range(3)]
    town.closed("speaks of", description=named[2])
    for number in range(4):
        town.create(f"open {number}", notes=named[0] if number == 2 else "")
    town.call(AddComment(actor="ada", id=town.create("told"), text=f"see {named[1]}."))
    asked: list[Any] = []
    answer = town.call

    def call(request: Any) -> Any:
        asked.append(request)
        return answer(request)

    monkeypatch.setattr(town, "call", call)
    would = json.loads(town.do("prune --pattern * --json"))["pruned_ids"]
    assert set(named) - set(would) == set(named[:2])
    assert not any(isinstance(request, ListIssues) and request.texts for request in asked)
    pages = [request for request in asked if isinstance(request, Export)]
    assert len(pages) == 3  # of six that are open
    assert not any(request.tombstones for request in pages)


def test_in_a_sandbox_texts_come_from_what_is_there(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    named = town.closed("named")
    town.create("asks", description=f"see {named}")
    answer, refusal = town.call, RefusedError("the snapshot can't", code=Code.UNREACHABLE)

    def call(request: Any) -> Any:
        if isinstance(request, Export):
            raise refusal
        return answer(request)

    monkeypatch.setattr(town, "call", call)
    assert "Would prune 1 closed issue" in town.do("prune --pattern *")
    refusal = RefusedError("no", code=Code.DENIED)
    with pytest.raises(RefusedError, match="no"):
        town.do("prune --pattern *")


@pytest.mark.parametrize(("age", "count"), [("0", 1), ("30d", 0)])
def test_purge_looks_at_ephemeral_issues_alone_by_their_age_too(
    town: Town, monkeypatch: pytest.MonkeyPatch, age: str, count: int
) -> None:
    answer = town.call

    def call(request: Any) -> Any:
        assert not isinstance(request, ListIssues)
        return answer(request)

    monkeypatch.setattr(town, "call", call)
    monkeypatch.setattr("moot_testkit.clients.canned_api.NOW_MS", town.api.clock.now_ms() + 1)
    assert json.loads(town.do(f"purge --older-than {age} --dry-run --json"))["purge_count"] == count


def test_in_a_sandbox_purge_looks_at_all_that_is_closed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, code = town.call, Code.UNREACHABLE

    def call(request: Any) -> Any:
        if isinstance(request, Query):
            raise RefusedError("the snapshot can't", code=code)
        return answer(request)

    monkeypatch.setattr(town, "call", call)
    assert json.loads(town.do("purge --dry-run --json"))["purge_count"] == 1
    code = Code.DENIED
    with pytest.raises(RefusedError):
        town.do("purge --dry-run")


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


OUTSIDE = FACTS._replace(workspace="")


@pytest.fixture
def two(town: Town) -> Town:
    town.call(InitProject(actor="ada", prefix="diary", folder="/elsewhere"))
    other = town.call(Create(actor="ada", project="diary", fields=IssueFields(title="day")))["id"]
    town.call(Close(actor="ada", id=other))
    return town


def test_outside_of_any_project_nothing_is_deleted_unless_it_is_said_of_which(two: Town) -> None:
    before = two.left()
    for argv in ("prune --pattern * --force", "purge", "purge --force"):
        with pytest.raises(RefusedError, match="would delete in all projects of the town") as refused:
            two.do(argv, "", OUTSIDE)
        assert (refused.value.code, "`--project all`" in refused.value.hint) == (Code.USAGE, True)
    assert two.left() == before
    assert two.do("prune --pattern * --project diary --force", "", OUTSIDE).startswith("✓ Pruned 1 closed issue")
    assert two.left() == before - {"day"}
    assert two.do("purge --project all", "", OUTSIDE).startswith("✓ Purged 1 closed ephemeral issue")
    assert two.left() == before - {"day", "passing"}


def test_what_would_go_is_told_by_project_where_there_may_be_several(two: Town) -> None:
    told = two.do("prune --pattern *", "", OUTSIDE).splitlines()
    assert "Would prune 2 closed issues" in told[0]
    assert told[1] == "  By project: demo 1, diary 1"
    assert told[2].startswith("  Add --project all --force to delete: ")
    assert json.loads(two.do("prune --pattern * --project all --json"))["projects"] == {"demo": 1, "diary": 1}
    assert "  By project: demo 1\n" in two.do("purge --dry-run", "", OUTSIDE)
    inside = two.do("prune --pattern *")
    assert ("By project" in inside, "  Add --force to delete: " in inside) == (False, True)


def test_help_tells_what_purge_does() -> None:
    purge = next(command for command in COMMANDS if command.name == "purge")
    assert "moot purge --dry-run  # shows what would go" in purge.examples


def test_an_age_that_is_none_is_refused(town: Town) -> None:
    with pytest.raises(RefusedError, match="no number of days"):
        town.do("prune --older-than 3x")
