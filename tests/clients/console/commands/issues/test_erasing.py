"""erase against a real daemon's service: what is shown before, what goes, and what is said to stay."""

import json
from typing import Any, cast

import pytest

from moot.console.commands.issues.erasing import COMMANDS, NOT_ERASED, field_meant
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.erasure import ERASABLE, TITLE_ERASED, WORDS
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.issues import AddComment, History, IssueFields, Show, Update
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import run_console
from moot_testkit.clients.pouring import Pourer

HEARD = "kumquat"
DONE = {"id": "bd-1\x07", "fields": ["notes"], "events": 1, "rewritten": [], "written_over": 0, "not_mine": 0}
COPY = {"source": "bd-1", "copy": "shared-1", "state": "in_step", "suggestions": []}
SHARE = {"share": "s1", "from": "ledger", "to": "common", "copies": [COPY]}


class Town(Pourer):
    def do(self, argv: str) -> str:
        return run(COMMANDS, argv, cast("CannedApi", self), project="demo").out

    def document(self, argv: str) -> Any:
        return json.loads(self.do(f"{argv} --json"))

    def shown(self, issue: str) -> Any:
        return self.call(Show(ids=(issue,)))[0]


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def issue(town: Town) -> str:
    issue = town.create(HEARD, description=HEARD, priority=1)
    town.call(Update(actor="ada", id=issue, fields=IssueFields(priority=0, description=f"{HEARD} again")))
    town.call(AddComment(actor="ada", id=issue, text=HEARD))
    return issue


def asked(argv: str, **answers: Any) -> Ran:
    return run(COMMANDS, argv, CannedApi(**{"erase": DONE, "shares": []} | answers))


# -- Which fields ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ("acceptance", "acceptance_criteria"), ("comment", "comments"), ("labels", "labels"), ("label", "labels"),
        ("Body", "description"), ("external-ref", "external_ref"), ("spec", "spec_id"), ("reason", "close_reason"),
        ("created-by", "created_by"), ("session", "closed_by_session"), ("close_reason", "close_reason"),
    ],
)  # fmt: skip
def test_fields_are_meant_by_the_names_of_flags_and_documents(typed: str, field: str) -> None:
    assert field_meant(typed) == field


def test_every_field_is_meant_by_its_own_name() -> None:
    assert {field_meant(field) for field in ERASABLE} == ERASABLE


def test_a_name_that_is_none_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(RefusedError, match="status: no field whose values can be erased") as refused:
        asked("erase bd-1 --field notes,status")
    assert (refused.value.code, "acceptance_criteria" in refused.value.hint) == (Code.USAGE, True)


@pytest.mark.parametrize(
    ("argv", "fields", "is_dry"),
    [
        ("erase bd-1", sorted(WORDS), True),
        ("erase bd-1 --all", sorted(WORDS), True),
        ("erase bd-1 --all --force", sorted(WORDS), False),
        ("erase bd-1 --all --force --dry-run", sorted(WORDS), True),
        ("erase bd-1 --field notes --field label,notes", ["notes", "labels"], True),
        ("erase bd-1 --field owner --force", ["owner"], False),
    ],
)
def test_nothing_is_erased_unless_it_is_said_what_and_meant(argv: str, fields: list[str], is_dry: bool) -> None:
    assert asked(argv).asked[0] == Erase(actor="alice", id="bd-1", fields=tuple(fields), dry_run=is_dry)


@pytest.mark.parametrize(
    "argv",
    ["erase bd-1 --force", "erase bd-1 --all --field notes", "erase bd-1 --field=", "erase bd-1 --field= --field ,"],
)
def test_without_saying_what_and_with_both_it_is_refused(argv: str) -> None:
    with pytest.raises(RefusedError) as refused:
        asked(argv)
    assert refused.value.code is Code.USAGE


# -- What is told ------------------------------------------------------------------------------------------------
def test_a_preview_tells_what_would_go_and_what_stays_and_changes_nothing(town: Town, issue: str) -> None:
    before = town.shown(issue)
    told = town.do(f"erase {issue}").splitlines()
    assert told[:5] == [
        f"Would erase comments, description, title of {issue}, with all that was there before: 4 events",
        "  Written again, since it stands in the same events: created_by, issue_type, project, status",
        "  What others changed of these and hasn't come here would be in conflict with that, and a label that",
        "  somebody took away would be back: `moot sync --wait` first brings it here",
        "  1 other value of these events that had been written over would go with them",
    ]
    assert told[5] == "  What stays:"
    assert [line.removeprefix("  - ") for line in told[6:-1]] == list(NOT_ERASED)
    assert "Add --all --force, or --field NAME --force, to erase" in told[-1]
    assert town.shown(issue) == before


def test_what_other_towns_wrote_is_told_to_stay() -> None:
    ran = asked("erase bd-1", erase=DONE | {"not_mine": 2})
    assert "  2 events of other towns would stay: an admin of the plane can erase them" in ran.out.splitlines()


def test_a_preview_of_one_field_tells_to_add_the_flag_alone(town: Town, issue: str) -> None:
    assert "Add --force to erase" in town.do(f"erase {issue} --field comments").splitlines()[-1]


def test_a_dry_run_asks_for_nothing(town: Town, issue: str) -> None:
    assert "Nothing is erased yet" not in town.do(f"erase {issue} --all --force --dry-run")


def test_what_is_erased_is_gone_and_it_is_told_how_it_travels(town: Town, issue: str) -> None:
    told = town.do(f"erase {issue} --all --force")
    assert told.startswith(f"✓ Erased comments, description, title of {issue}, with all that was there before: 4 ev")
    assert "stood in the same events" in told
    assert "`moot sync`" in told
    shown = town.shown(issue)
    assert (shown["title"], "description" in shown, "comments" in shown) == (TITLE_ERASED, False, False)
    assert HEARD not in json.dumps(town.call(History(id=issue, limit=0)))


def test_the_document_says_what_was_done_and_what_not(town: Town, issue: str) -> None:
    assert town.document(f"erase {issue} --field comments") == {
        "id": issue, "fields": ["comments"], "events": 1, "rewritten": [], "written_over": 0, "not_mine": 0,
        "copies": [], "not_erased": list(NOT_ERASED), "dry_run": True,
    }  # fmt: skip
    assert "dry_run" not in town.document(f"erase {issue} --field comments --force")


def test_where_nothing_is_there_it_is_said_so(town: Town, issue: str) -> None:
    town.do(f"erase {issue} --all --force")
    assert town.do(f"erase {issue} --all --force") == f"Nothing to do: nothing that people wrote is here in {issue}\n"
    assert town.do(f"erase {issue} --field notes") == f"Nothing to do: of notes nothing is here in {issue}\n"
    assert town.document(f"erase {issue}")["_unchanged"] is True


def test_copies_are_named_since_they_are_issues_of_their_own() -> None:
    ran = asked("erase bd-1 --all --force", erase=DONE | {"id": "bd-1"}, shares=[SHARE])
    assert "Copied to shared-1 on plane common, which has to be erased by itself" in ran.out
    ran = asked("erase shared-1 --all --force", erase=DONE | {"id": "shared-1"}, shares=[SHARE])
    assert "It is a copy of bd-1 on plane ledger, which has to be erased by itself" in ran.out


def test_whoever_may_not_see_shares_may_erase_all_the_same() -> None:
    ran = asked("erase bd-1 --all --force", shares=RefusedError("no", code=Code.DENIED))
    assert (ran.code, ran.out.startswith("✓ Erased notes of bd-1^G")) == (0, True)


def test_a_field_s_history_says_erased_where_it_is_known() -> None:
    event = {"author": "k", "n": 3, "at": 0, "actor": "ada", "kind": "issue", "entity": "bd-1"}
    changes = [{"field": "notes", "missing": True, "erased": True}, {"field": "design", "missing": True}]
    told = run_console("history bd-1", {"history": [event | {"changes": changes}]})
    assert "notes: (erased); design: not held here" in told.out
