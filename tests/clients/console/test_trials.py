"""`--dry-run` for commands that have none of their own: everything is checked, nothing is written."""

import pytest

from moot.console.main import GRAMMAR
from moot.console.trials import TRIED, TrialApi
from moot_protocol.requests import Create, IssueFields, ListIssues, Reopen
from moot_testkit.console import issue, run_console
from moot_testkit.town import PROJECT, make_api


@pytest.mark.parametrize("name", sorted(TRIED))
def test_each_of_these_commands_can_be_tried(name: str) -> None:
    assert "--dry-run" in GRAMMAR.help(name, "moot", 80)


def test_what_would_be_said_is_said_and_the_mutation_is_one_on_trial() -> None:
    ran = run_console("reopen a1b2 --dry-run", {"reopen": issue()})
    assert ran.request == Reopen(actor="unknown", id="a1b2", dry_run=True)
    assert ran.out == "Dry run: nothing is written. It would say:\n↻ Reopened bd-000000000001 — Issue 1\n"
    assert run_console("reopen a1b2", {"reopen": issue()}).request.dry_run is False


def test_several_are_one_script_on_trial_and_json_stays_one_document() -> None:
    ran = run_console("defer a b --dry-run --json", {"script": [issue(1), issue(2)]})
    assert ran.request.dry_run
    assert len(ran.document) == 2


def test_a_script_of_a_batch_is_tried_as_a_whole_only() -> None:
    ran = run_console("batch", {"script": []}, stdin=[b"label add a x --dry-run\n"])
    assert (ran.code, ran.asked) == (2, [])


def test_a_trial_reads_as_always_and_leaves_nothing() -> None:
    api = make_api()
    trial = TrialApi(api)
    made = trial.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title="One")))
    assert made["title"] == "One"
    assert trial.call(ListIssues()).issues == api.call(ListIssues()).issues == []
