"""A run of the console: actor and project, one JSON document, errors, exit codes, defects."""

import re
import shlex

import pytest

from moot.console import main
from moot.console.text.safe_text import LONGEST
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import WorkspaceInfo
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.console import REQUEST_ID, issue, run_console
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal

LOST = RefusedError("bob holds it", code=Code.LOST_RACE, hint="take another", retryable=True)


def test_a_failure_is_told_on_standard_error_with_its_hint_and_exit_code() -> None:
    ran = run_console("update a1b2 --claim", {"update": LOST})
    assert (ran.code, ran.out, ran.err) == (5, "", "Error: bob holds it\nHint: take another\n")


def test_with_json_a_failure_is_the_one_document_on_standard_output() -> None:
    ran = run_console("update a1b2 --claim --json", {"update": LOST})
    assert ran.code == 5
    assert ran.err == ""
    assert ran.document == {
        "error": {"code": "lost_race", "message": "bob holds it", "hint": "take another", "retryable": True}
    }


def test_the_envelope_holds_errors_too() -> None:
    facts = FACTS._replace(environment={"BD_JSON_ENVELOPE": "1"})
    document = run_console("update a1b2 --claim --json", {"update": LOST}, facts=facts).document
    assert document["schema_version"] == 1
    assert document["data"]["error"]["code"] == "lost_race"


def test_a_mistake_on_the_command_line_is_told_as_json_too() -> None:
    ran = run_console("--json frobnicate")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "usage"


def test_json_after_two_hyphens_is_a_word() -> None:
    ran = run_console("frobnicate -- --json")
    assert (ran.out, ran.err[:6]) == ("", "Error:")


def test_called_as_bd_failures_exit_1_and_success_0() -> None:
    facts = FACTS._replace(program="bd")
    assert run_console("frobnicate", facts=facts).code == 1
    assert run_console("update a1b2 --claim", {"update": LOST}, facts=facts).code == 1
    assert run_console("help", facts=facts).code == 0


def test_an_error_from_elsewhere_cannot_act_on_the_terminal() -> None:
    ran = run_console("update a1b2 --claim", {"update": RefusedError("\x1b[2Jgone", hint="\u202eback")})
    assert "\x1b" not in ran.err
    assert "\u202e" not in ran.err


def test_of_a_message_that_echoes_something_huge_the_middle_is_left_out() -> None:
    huge = "begin " + "x" * 100_000 + " end"
    refused = RefusedError(f"{huge!r} is no status", hint="h" * 5000)
    ran = run_console("update a1b2 --claim", {"update": refused})
    told, hint = ran.err.splitlines()
    assert told.startswith("Error: 'begin xxx")
    assert "x…x" in told
    assert told.endswith("xxx end' is no status")
    assert len(told) == len("Error: ") + LONGEST
    assert hint == "Hint: " + refused.hint, "hints name what there is"
    error = run_console("update a1b2 --claim --json", {"update": refused}).document["error"]
    assert error["message"] == told.removeprefix("Error: ")
    assert len(run_console(["x" * 20_000]).err) < 2 * LONGEST
    whole = "y" * LONGEST
    assert run_console("update a1b2 --claim", {"update": RefusedError(whole)}).err == f"Error: {whole}\n"


def test_a_defect_is_logged_and_told_by_the_id_it_was_logged_under() -> None:
    ran = run_console("update a1b2 --claim", {"update": [{}]})
    assert ran.code == 1
    assert len(ran.crashes) == 1
    assert REQUEST_ID in ran.err
    assert "Traceback" not in ran.err + ran.out


def test_a_defect_is_one_document_with_json() -> None:
    ran = run_console("rebuild --json", {"rebuild": {}})
    assert ran.document["error"]["code"] == "internal"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("wait a1b2 --status closed", "ask again"),
        ("--actor bob wait --events 1", "ask again"),
        ("events --follow", "go on with --since and the arrival number of the last event that came"),
        ("activity --follow", "ask again"),
        ("list --watch", "ask again"),
        ("show a1b2 -w", "ask again"),
        ("watch", "ask again"),
        ("ready --claim --watch", ""),
        ("update a1b2 --claim", ""),
        ("comment a1b2 wait", ""),
        ("help wait", ""),
        ("frobnicate", ""),
    ],
)
def test_what_waits_and_changes_nothing_can_be_asked_again(argv: str, told: str) -> None:
    assert main.how_to_ask_again(FACTS._replace(argv=tuple(argv.split()))) == told


@pytest.mark.parametrize("program", ["moot", "bd"])
def test_what_changes_something_and_is_not_only_tried_may_be_done(program: str) -> None:
    def told(argv: str) -> str:
        return main.what_may_be_done(FACTS._replace(argv=tuple(argv.split()), program=program))

    for argv in ("create x", "update a1b2 --claim", "close a1b2", "salvage", "batch"):
        assert f"`{program} activity` shows" in told(argv)
    for argv in ("list", "show a1b2", "close a1b2 --dry-run", "help create", "frobnicate", "create --no-such-flag"):
        assert told(argv) == ""
    assert "the same --request-id" in told("create x --request-id 7")


def test_a_client_that_has_gone_away_is_told_nothing() -> None:
    terminal = RecordingTerminal(FACTS._replace(argv=("update", "a1b2", "--claim")))
    terminal.gone = True
    api = CannedApi(workspace_info={"project": "bd", "folder": "/"}, update=LOST)
    assert main.run(api, terminal, NOW_MS, str) != 0
    assert (terminal.written, terminal.complaints) == ("", "")


@pytest.mark.parametrize(
    ("argv", "environment", "git_user", "actor"),
    [
        ("--actor eve q x", {"MOOT_ACTOR": "a", "USER": "u"}, "git", "eve"),
        ("q x", {"MOOT_ACTOR": "a", "BD_ACTOR": "b", "BEADS_ACTOR": "c", "USER": "u"}, "git", "a"),
        ("q x", {"BD_ACTOR": "b", "BEADS_ACTOR": "c", "USER": "u"}, "git", "b"),
        ("q x", {"BEADS_ACTOR": "c", "USER": "u"}, "git", "c"),
        ("q x", {"MOOT_ACTOR": "  ", "USER": "u"}, "git", "git"),
        ("q x", {"USER": "u"}, "", "u"),
        ("q x", {}, "", "unknown"),
    ],
)
def test_who_acts_is_found_in_this_order(argv: str, environment: dict[str, str], git_user: str, actor: str) -> None:
    facts = FACTS._replace(environment=environment, git_user=git_user)
    assert run_console(argv, {"create": issue()}, facts=facts).request.actor == actor


def test_a_command_that_stands_alone_asks_for_no_workspace() -> None:
    api = CannedApi(status={})
    main.run(api, RecordingTerminal(FACTS._replace(argv=("status",))), NOW_MS, str)
    assert not any(isinstance(request, WorkspaceInfo) for request in api.asked)


def test_the_project_is_that_of_the_workspace() -> None:
    assert run_console("q x", {"create": issue()}, project="tools").request.project == "tools"


@pytest.mark.parametrize("workspace", ["", "w1"])
def test_where_there_is_no_project_a_command_that_needs_one_says_what_to_do(workspace: str) -> None:
    ran = run_console("q x", facts=FACTS._replace(workspace=workspace), project="")
    assert ran.code == 3
    assert "/home/alice/work" in ran.err
    assert "moot init" in ran.err


def test_a_folder_outside_every_workspace_is_not_asked_about() -> None:
    terminal = RecordingTerminal(FACTS._replace(argv=("update", "a1b2", "--claim"), workspace=""))
    api = CannedApi(update=issue(), count={"total": 0, "groups": []})
    assert main.run(api, terminal, NOW_MS, str) == 0
    assert not any(isinstance(request, WorkspaceInfo) for request in api.asked)


def test_readonly_refuses_what_writes_and_lets_what_reads_through() -> None:
    ran = run_console("--readonly q x")
    assert (ran.code, ran.asked) == (4, [])
    assert run_console("status --readonly", {"status": {}}).code == 0


def test_a_folder_that_the_client_has_not_gone_to_is_refused_rather_than_ignored() -> None:
    ran = run_console("status -C/elsewhere")
    assert (ran.code, ran.asked) == (2, [])


def test_help_is_text_or_one_document() -> None:
    assert "Find work:" in run_console("help").out
    assert run_console("").out == run_console("--help").out
    assert "examples:" in run_console("help create --json").document["help"]


def test_help_keeps_to_the_width_of_a_terminal_and_is_one_line_each_for_programs() -> None:
    wide = run_console("help", facts=FACTS._replace(width=60)).out
    narrow = run_console("help", facts=at_terminal()._replace(width=60)).out
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, wide.splitlines()))
    assert run_console("help --json", facts=at_terminal()._replace(width=60)).document["help"] == wide


@pytest.mark.parametrize("program", ["moot", "bd"])
def test_no_page_of_help_is_wider_than_a_terminal_of_80_columns(program: str) -> None:
    grammar = main.GRAMMAR
    pages = {
        name: grammar.help(name, program, 80) for name in ("", *grammar._names, *grammar._groups, *grammar._topics)
    }
    wide = {(name, line) for name, page in pages.items() for line in page.splitlines() if len(line) > 80}
    assert not wide


def test_every_command_explains_itself_and_names_are_used_once() -> None:
    names = [command.name for section in main.GRAMMAR._sections for command in section.commands]
    assert len(names) == len(set(names))
    for name in names:
        assert f"usage: moot {name} [flags]" in main.GRAMMAR.help(name, "moot", 80)


# -- Examples ----------------------------------------------------------------------------------------------------
EXAMPLES = [
    (command.name, example)
    for section in main.GRAMMAR._sections
    for command in section.commands
    for example in command.examples
]
_OPERATORS = "|<>&;"


def calls(example: str) -> list[list[str]]:
    """The argument lists with which a line of a shell calls `moot`."""
    inner = re.search(r"\$\((.*)\)", example)  # what it prints is put in its place
    reader = shlex.shlex(inner[1] if inner else example, posix=True, punctuation_chars=_OPERATORS)
    reader.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in reader:
        if word in {"|", "&&", ";"}:
            commands.append([])
        elif not set(word) - set(_OPERATORS):
            next(reader)  # a file that the shell opens
        else:
            commands[-1].append(word)
    return [words[1:] for words in commands if words[:1] == ["moot"]]


def test_every_command_has_an_example_that_calls_it() -> None:
    shown = {name for name, example in EXAMPLES if calls(example)}
    assert sorted(set(main.GRAMMAR._commands) - shown) == []


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_is_read_as_its_command_and_refused_by_nothing_that_looks_at_its_arguments(
    name: str, example: str
) -> None:
    for arguments in calls(example):
        folder = ["-C", arguments[1]] if arguments[0] == "-C" else []  # the client takes these away
        given = arguments[len(folder) :]
        read = main.GRAMMAR.read(given).command
        assert read is not None
        assert read.name == name
        terminal = RecordingTerminal(FACTS._replace(argv=tuple(given)))
        if not read.unaided and read.name != "mcp":  # that one the client carries out itself
            assert main.run_unaided(CannedApi(), terminal, NOW_MS, str) is None, terminal.complaints


def test_examples_fit_into_the_help_of_a_narrow_terminal() -> None:
    assert [example for _, example in EXAMPLES if len(f"  {example}") > 80] == []


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("daemon", "stop"), "daemon stop"),
        (("--actor", "me", "daemon", "stop"), "daemon stop"),
        (("--json", "daemons", "killall"), "daemon stop"),
        (("list", "--assignee", "daemon"), "list"),
        (("--actor", "daemon", "list"), "list"),
        (("daemon", "--frobnicate"), ""),
        (("help", "daemon"), ""),
        ((), ""),
    ],
)
def test_the_command_that_is_asked_for_is_told_by_its_own_name(argv: tuple[str, ...], name: str) -> None:
    assert main.command_of(FACTS._replace(argv=argv)) == name
