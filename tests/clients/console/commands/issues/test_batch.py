"""batch: how lines are read, which steps they become, how a mistake in one is told."""

from typing import Any

import pytest

from moot.console.commands.issues import batch as commands
from moot.console.commands.issues.batch import tokens
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Script
from moot_testkit.clients.console import Outcome, issue, run_console


def batch(*lines: str, flags: str = "", answers: Any = (), **more: Any) -> Outcome:
    return run_console(f"batch {flags}", {"script": list(answers)}, stdin=["\n".join([*lines, ""]).encode()], **more)


def steps_of(*lines: str) -> list[tuple[str, dict[str, Any], str]]:
    ran = batch(*lines, answers=[issue()] * 20)
    assert isinstance(ran.request, Script), ran.err
    return [(step["method"], step["params"], step["label"]) for step in ran.request.steps]


# -- Reading -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("close a1b2 done", ["close", "a1b2", "done"]),
        ('create "Fix it now" -p 1', ["create", "Fix it now", "-p", "1"]),
        ("create 'Fix it now'", ["create", "Fix it now"]),
        (r'create "say \"hi\" \\ bye \n"', ["create", r'say "hi" \ bye \n']),
        ("close a1b2 don't", ["close", "a1b2", "don't"]),
        ('update a1b2 --title="New name"', ["update", "a1b2", "--title=New name"]),
        ('create ""', ["create", ""]),
        ("create 'it''s' x", ["create", "'it''s'", "x"]),
        ("  a \t b ", ["a", "b"]),
    ],
)
def test_words_are_separated_by_blanks_and_held_together_by_quotes(line: str, expected: list[str]) -> None:
    assert tokens(line) == expected


def test_an_open_quote_is_refused_with_its_line() -> None:
    ran = batch("close a", 'create "open')
    assert (ran.code, ran.asked) == (2, [])
    assert ran.err.startswith("Error: line 2: a quote is not closed")


def test_every_writing_command_has_its_step() -> None:
    assert steps_of(
        'create "One" -p 1 -l web',
        "update a1b2 --status in_progress",
        'close a1b2 c3d4 -r "Both"',
        "dep add a1b2 c3d4 -t related",
        "dep remove a1b2 c3d4",
        "label add a1b2 urgent",
        "label remove a1b2 urgent",
        "comment a1b2 Seen on 3.12",
        "claim a1b2 --ttl 1s",
    ) == [
        (
            "create",
            {"project": "bd", "fields": {"title": "One", "priority": 1, "issue_type": "task"}, "labels": ("web",)},
            "line 1",
        ),
        ("update", {"id": "a1b2", "fields": {"status": "in_progress"}}, "line 2"),
        ("close", {"id": "a1b2", "reason": "Both"}, "line 3"),
        ("close", {"id": "c3d4", "reason": "Both"}, "line 3"),
        ("add_edge", {"id": "a1b2", "edge": {"to": "c3d4", "type": "related"}}, "line 4"),
        ("remove_edge", {"id": "a1b2", "to": "c3d4"}, "line 5"),
        ("update", {"id": "a1b2", "fields": {}, "add_labels": ("urgent",)}, "line 6"),
        ("update", {"id": "a1b2", "fields": {}, "remove_labels": ("urgent",)}, "line 7"),
        ("add_comment", {"id": "a1b2", "text": "Seen on 3.12"}, "line 8"),
        ("update", {"id": "a1b2", "fields": {}, "claim": True, "ttl_ms": 1000}, "line 9"),
    ]


def test_lines_as_bd_writes_them_mean_the_same() -> None:
    assert steps_of(
        "create bug 1 Fix the link",
        'update a1b2 status=open priority=0 title="New name" assignee=bob',
        "close a1b2 Fixed in 1.4",
        "dep add a1b2 c3d4 related",
    ) == steps_of(
        'create "Fix the link" -t bug -p 1',
        'update a1b2 --status open -p 0 --title "New name" -a bob',
        'close a1b2 --reason "Fixed in 1.4"',
        "dep add a1b2 c3d4 --type related",
    )


def test_blank_lines_and_comments_count_as_lines_and_do_nothing() -> None:
    assert [label for _, _, label in steps_of("# plan", "", "close a", "   ", "  # more", "close b")] == [
        "line 3",
        "line 6",
    ]


def test_a_reference_names_the_line_that_created_whatever_stands_between() -> None:
    steps = steps_of(
        "# plan",
        "label add x y z urgent",
        'create "One"',
        'create "Two" --parent $3 --deps $3,blocks:a1b2',
        "dep add $4 $3",
        "update $3 --parent $4",
        "comment $4 $3",
    )
    one, two = "$4", "$5"  # steps: three labels, then the two creations
    assert [steps[place][1].get("id") for place in range(3)] == ["x", "y", "z"]
    assert (steps[4][1]["parent"], steps[4][1]["edges"]) == (one, [{"to": one}])
    assert steps[5][:2] == ("add_edge", {"id": "a1b2", "edge": {"to": two}})
    assert steps[6][1] == {"id": two, "edge": {"to": one}}
    assert (steps[7][1]["id"], steps[7][1]["parent"]) == (one, two)
    assert (steps[8][1]["id"], steps[8][1]["text"]) == (two, "$3")


def test_a_reference_is_renumbered_when_lines_make_several_steps_or_none() -> None:
    steps = steps_of("# a", "# b", "# c", 'create "One"', "dep add $4 x")
    assert steps[1][1]["id"] == "$1"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["frobnicate x"], "line 1: frobnicate is no part of a script"),
        (["close a", "list"], "line 2: list is no part of a script"),
        (["delete a"], "line 1: delete is no part of a script"),
        (["dep list a"], "line 1: dep list is no part of a script"),
        (["crate x"], "line 1: crate is no part of a script; did you mean create?"),
        (["claim a --confirm 5"], "line 1: --confirm is no part of a script"),
        (["claim a --dry-run"], "line 1: a dry run is for the whole script"),
        (["close a", "", "update b --zzz"], "line 3: unknown flag --zzz"),
        (["create Fix it"], "line 1: the title is more than one argument"),
        (["close $1"], "line 1: $1 names no issue"),
        (["close a", "close $1"], "line 2: $1 names no issue"),
        (['create "One"', "close $3", 'create "Three"'], "line 2: $3 names no issue"),
        (["create -f plan.md"], "line 1: --file is no part of a script"),
        (["close a --claim-next"], "line 1: --claim-next is no part of a script"),
        (["create x --stdin"], "line 1: standard input is the script's own"),
        (["comment a1b2 -"], "line 1: standard input is the script's own"),
        (["create x -d -"], "line 1: standard input is the script's own"),
        (["comment a -f -"], "line 1: standard input is the script's own"),
        (["update a -p 0 --dry-run"], "line 1: a dry run is for the whole script"),
        (["close a --actor eve"], "line 1: one script has one actor"),
        (["comment a x --author eve"], "line 1: one script has one actor"),
        (["close --help"], "line 1: help is no part of a script"),
        (["dep"], "line 1: dep needs one of: add, remove"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_told_by_its_line_and_nothing_is_sent(lines: list[str], message: str) -> None:
    ran = batch(*lines)
    assert ran.err.startswith(f"Error: {message}")
    assert (ran.code, ran.asked) == (2, [])


def test_help_and_the_refusal_of_another_command_name_those_that_a_script_takes() -> None:
    taken = "create, update, claim, close, dep add, dep remove, label add, label remove, comment"
    assert taken in " ".join(run_console("batch --help").out.split())
    assert f"a script takes {taken}" in batch("delete a").err


def test_a_claim_is_the_update_that_claims() -> None:
    assert steps_of("claim a1b2") == steps_of("update a1b2 --claim")


# -- Carrying out ------------------------------------------------------------------------------------------------
def test_what_was_done_is_told_line_by_line() -> None:
    edge = {"issue_id": "bd-2", "depends_on_id": "bd-1", "type": "blocks", "created": True}
    ran = batch("# x", 'create "One" --deps blocks:z', "dep add b $2", answers=[issue(1), edge, edge])
    assert ran.out == (
        "✓ batch: 2 operations committed\n  line 2: create bd-000000000001\n  line 3: dep add bd-2->bd-1\n"
    )


def test_the_document_has_bds_shape() -> None:
    ran = batch("comment a x", flags="--json", answers=[{"id": "c9", "issue_id": "bd-1"}])
    assert ran.document == {
        "operations": 1,
        "status": "ok",
        "results": [{"line": 1, "op": "comment", "target": "bd-1"}],
    }


def test_a_script_of_too_many_changes_is_refused_at_the_line_that_is_one_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "SCRIPT_STEPS", 3)
    assert batch("update a b c -p 0", answers=[issue()] * 3).code == 0
    ran = batch("# first", "update a b -p 0", "update c d -p 0", "close e")
    assert (ran.code, ran.asked) == (1, [])
    assert "line 3: a script makes at most 3 changes" in ran.err
    assert "split it" in ran.err
    assert "moot import" in ran.err


def test_a_script_of_too_many_bytes_is_refused_with_what_to_do() -> None:
    ran = batch("#" * 1024 * 1024)
    assert (ran.code, ran.asked) == (1, [])
    assert "standard input holds more than 1048576 bytes" in ran.err
    assert "split it" in ran.err
    assert "split it" not in run_console("batch -f nowhere.txt").err


def test_help_says_how_much_a_script_may_hold() -> None:
    assert "at most 1,000 changes and 1 MiB" in " ".join(run_console("batch --help").out.split())


def test_an_empty_script_does_nothing_and_succeeds() -> None:
    ran = batch("# nothing", "")
    assert (ran.code, ran.asked, ran.out) == (0, [], "✓ batch: 0 operations committed\n")


def test_a_refused_step_is_told_by_the_line_that_the_daemon_names() -> None:
    refused = RefusedError("line 2: no issue zzzz", code=Code.NOT_FOUND)
    ran = run_console("batch", {"script": refused}, stdin=[b"close a\nclose zzzz\n"])
    assert (ran.code, ran.err) == (3, "Error: line 2: no issue zzzz\n")


def test_a_dry_run_asks_the_daemon_to_write_nothing() -> None:
    ran = batch("close a", flags="--dry-run", answers=[issue()])
    assert ran.request.dry_run
    assert ran.out.startswith("✓ batch: 1 operations would be committed\n")


def test_a_script_can_be_a_file_and_then_texts_can_still_not_come_from_standard_input() -> None:
    ran = run_console("batch -f plan.txt", {"script": [issue()]}, files={"plan.txt": b"close a"})
    assert [step["params"]["id"] for step in ran.request.steps] == ["a"]


def test_a_molecule_that_a_script_completes_is_told() -> None:
    answers = {"script": [issue(_finished=["bd-mol"])]}
    ran = run_console("batch", answers, stdin=[b"close a1b2\n"])
    assert ran.out.splitlines()[-1] == "✓ Auto-closed completed molecule bd-mol"
    assert run_console("batch --json", answers, stdin=[b"close a1b2\n"]).document["_finished"] == ["bd-mol"]
