"""A rehearsed command gets to its refusals and to nothing else."""

import inspect

import pytest

from moot.console.main import GRAMMAR
from moot.console.main import run_unaided as run
from moot.console.rehearsal import Needed, NoApi, NoTerminal
from moot.console.terminal import Facts, Terminal
from moot_protocol.requests.issues import Ready
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.terminal import FACTS, RecordingTerminal


def rehearsed(*argv: str, facts: Facts = FACTS) -> tuple[int | None, RecordingTerminal]:
    """The exit code of what needs no daemon, and what it told."""
    terminal = RecordingTerminal(facts._replace(argv=argv))
    return run(NoApi(), terminal, NOW_MS, str), terminal


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("dep", "add"), "an edge needs two issues"),
        (("search",), "nothing to search for"),
        (("list", "--created-after", "soonish"), "is no time that I understand"),
        (("query", "status="), "the query ends"),
        (("set-state", "a1b2", "mode"), "is no state"),
        (("create", "Tidy up", "--deps", "blocks:"), "is no dependency"),
        (("list", "--request-id", ""), "--request-id is empty"),
    ],
)
def test_what_a_command_refuses_by_its_arguments_alone_is_told(argv: tuple[str, ...], told: str) -> None:
    code, terminal = rehearsed(*argv)
    assert (code, terminal.written, told in terminal.complaints) == (2, "", True)


@pytest.mark.parametrize(
    "argv",
    [
        ("list",),
        ("close", "a1b2", "-r", "fixed"),
        ("batch",),
        ("join", "-"),
        ("import", "issues.jsonl"),
        ("create", "Tidy up", "--description", "-"),
        ("recover",),
        ("orphans",),
        ("edit", "a1b2"),
        ("export", "-o", "issues.jsonl"),
        ("info",),
        ("human",),
    ],
)
def test_where_more_than_arguments_is_needed_nothing_is_done_or_told(argv: tuple[str, ...]) -> None:
    code, terminal = rehearsed(*argv)
    assert (code, terminal.written, terminal.complaints, terminal.files) == (None, "", "", {})


def test_outside_of_a_project_arguments_are_refused_all_the_same() -> None:
    code, terminal = rehearsed("stale", "--days", "0", facts=FACTS._replace(workspace=""))
    assert (code, "--days counts from 1" in terminal.complaints) == (2, True)


def test_no_command_without_arguments_touches_anything_or_takes_the_end_of_its_rehearsal_for_a_failure() -> None:
    for command in GRAMMAR._commands.values():
        if not command.unaided:
            code, terminal = rehearsed(*command.name.split())
            assert code in {None, 2}, command.name
            assert terminal.written == "", command.name


def test_everything_that_a_terminal_can_be_asked_for_ends_the_rehearsal() -> None:
    terminal = NoTerminal(FACTS)
    terminal.check_alive()
    asked = [name for name, _ in inspect.getmembers(Terminal, inspect.isfunction) if not name.startswith("_")]
    for name in sorted({*asked} - {"check_alive"}):
        ask = getattr(terminal, name)
        needed = [each for each in inspect.signature(ask).parameters.values() if each.default is each.empty]
        with pytest.raises(Needed):
            ask(*("x" for _ in needed))


def test_the_end_of_a_rehearsal_is_no_failure_that_a_command_could_deal_with() -> None:
    assert not issubclass(Needed, Exception)


def test_a_question_to_the_daemon_ends_the_rehearsal_with_and_without_a_key() -> None:
    with pytest.raises(Needed):
        NoApi().call(Ready())
    with pytest.raises(Needed):
        NoApi().call_keyed(Ready(), "r-1#1")
