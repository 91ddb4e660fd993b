"""Called as `bd`: how failures read, which command `status` is, and which flags change nothing."""

import pytest

from moot.console import as_bd
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import issue, run_console
from moot_testkit.clients.terminal import FACTS

BD = FACTS._replace(program="bd")
LOST = RefusedError("bd-1 is already claimed by bob", code=Code.LOST_RACE, hint="take another", retryable=True)


def test_a_failure_is_a_document_with_its_message_right_under_error_and_told_in_words_too() -> None:
    ran = run_console("update a1b2 --claim --json", {"update": LOST}, facts=BD)
    assert ran.code == 1
    assert ran.document == {
        "error": "bd-1 is already claimed by bob", "hint": "take another", "code": "lost_race", "retryable": True,
    }  # fmt: skip
    assert ran.err == "Error: bd-1 is already claimed by bob\nHint: take another\n"


def test_the_envelope_holds_failures_too() -> None:
    facts = BD._replace(environment={"BD_JSON_ENVELOPE": "1"})
    document = run_console("update a1b2 --claim --json", {"update": LOST}, facts=facts).document
    assert (document["schema_version"], document["data"]["code"]) == (1, "lost_race")


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (Code.NOT_FOUND, "no issue x", "no issue x (not found)"),
        (Code.NOT_FOUND, "x was not found", "x was not found"),
        (Code.LOST_RACE, "bob has it", "bob has it (already claimed)"),
        (Code.DENIED, "no", "no"),
    ],
)
def test_messages_have_the_words_that_programs_look_for(code: Code, message: str, told: str) -> None:
    assert as_bd.message(RefusedError(message, code=code)) == told


def test_an_unknown_flag_is_told_in_the_words_that_callers_look_for_and_the_hint_names_bd() -> None:
    ran = run_console("list --frob --json", facts=BD)
    assert ran.document["error"].startswith("unknown flag: --frob")
    assert ran.document["hint"] == "see `bd help list`"
    assert "Hint: see `bd help list`" in ran.err
    assert run_console("list --frob").err.startswith("Error: unknown flag --frob")


def test_a_folder_without_a_project_is_told_of_as_bd_does() -> None:
    ran = run_console("q x", facts=BD, project="")
    assert ran.err.startswith("Error: no beads database found: /home/alice/work")
    assert run_console("q x", project="").err.startswith("Error: no project here")


def test_status_is_what_bd_calls_so_and_moots_own_as_moot() -> None:
    nothing = {"count": {"groups": []}, "list": Page(issues=[], total=0, truncated=False)}
    ran = run_console("status --json", {"stats": {"total": 3}} | nothing, facts=BD)
    assert ran.document["summary"]["total_issues"] == 3
    assert run_console("status --json", {"status": {"planes": []}}).document == {"planes": []}


def test_flags_that_bd_takes_everywhere_change_nothing() -> None:
    flags = "--no-auto-flush --no-auto-import --no-daemon --sandbox -v --lock-timeout 5s --dolt-auto-commit off"
    for argv in (f"{flags} q x", f"q x {flags}"):
        assert run_console(argv, {"create": issue()}, facts=BD).request.fields.title == "x"


def test_a_database_is_named_to_bd_only() -> None:
    assert run_console("--db /w/.beads/beads.db q x", {"create": issue()}, facts=BD).code == 0
    refused = run_console("--db /w/.beads/beads.db q x")
    assert (refused.code, "-C" in refused.err) == (2, True)
