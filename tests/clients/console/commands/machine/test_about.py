"""info, where, context, quickstart, onboard: what is printed, in the shapes that `bd` has."""

import shlex

import pytest

from moot.console.commands.machine.about import ONBOARD, QUICKSTART
from moot.console.main import GRAMMAR
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import Outcome, issue, run_console
from moot_testkit.clients.terminal import FACTS

PONG = {
    "pid": 4711, "uptime_ms": 3_500, "version": "0.1.0", "protocol": 1, "data": "/home/alice/.data",
    "config_file": "/home/alice/.config/moot/config.toml",
}  # fmt: skip
PAGE = Page(issues=[issue(number) for number in range(3)], total=None, truncated=True)
SETTINGS = [{"key": "custom.x", "value": "1", "of": "project", "conflict": False}]


def run(argv: str, **changes: str) -> Outcome:
    place = {"project": "bd", "folder": "/home/alice/work", "plane": "aa"} | changes
    return run_console(
        argv, {"ping": PONG, "list": PAGE, "count": {"total": 5}, "settings": SETTINGS, "workspace_info": place}
    )


def test_info_tells_where_data_lies_how_much_there_is_and_what_is_set() -> None:
    document = run("info --json").document
    assert document == {
        "database_path": "/home/alice/.data", "mode": "daemon", "daemon_connected": True, "daemon_status": "healthy",
        "daemon_version": "0.1.0", "daemon_uptime": 3.5, "issue_count": 5,
        "config_file": "/home/alice/.config/moot/config.toml",
        "config": {"issue_prefix": "bd", "custom.x": "1"},
    }  # fmt: skip
    schema = run("info --schema --json").document["schema"]
    assert schema["detected_prefix"] == "bd"
    assert len(schema["sample_issue_ids"]) == 3
    assert {"events", "records"} <= set(schema["tables"])
    told = run("info").out
    assert "issues: 5" in told
    assert "config file: /home/alice/.config/moot/config.toml" in told


def test_where_is_the_workspaces_folder() -> None:
    assert run("where --json").document == {
        "path": "/home/alice/work/.moot", "prefix": "bd", "database_path": "/home/alice/.data",
    }  # fmt: skip
    assert run("where").out.splitlines()[0] == "/home/alice/work/.moot"


@pytest.mark.parametrize(("folder", "is_worktree"), [("/home/alice/work", False), ("/home/alice/other", True)])
def test_context_tells_what_a_command_here_acts_on(folder: str, is_worktree: bool) -> None:
    document = run("context --json", folder=folder).document
    assert f"is worktree: {'true' if is_worktree else 'false'}\n" in run("context", folder=folder).out
    assert (document["beads_dir"], document["repo_root"]) == (f"{folder}/.moot", folder)
    assert (document["database"], document["project_id"], document["plane"]) == ("bd", "w1", "aa")
    assert (document["bd_version"], document["is_worktree"]) == ("1.0.5", is_worktree)


@pytest.mark.parametrize("command", ["info", "where", "context"])
def test_outside_a_project_they_say_so(command: str) -> None:
    assert run_console(command, project="").code == 3


@pytest.mark.parametrize("name", ["quickstart", "onboard"])
def test_texts_name_the_program_as_it_was_called(name: str) -> None:
    assert "`moot help`" in run_console("quickstart").out
    text = run_console(name, facts=FACTS._replace(program="bd")).out
    assert "bd ready" in text
    assert "moot ready" not in text
    assert run_console(f"{name} --json").document[name] == run_console(name).out


def test_what_is_told_to_begin_with_fits_into_80_columns() -> None:
    assert max(map(len, run_console("quickstart").out.splitlines())) <= 80


@pytest.mark.parametrize("text", [QUICKSTART, ONBOARD])
def test_every_command_in_them_exists(text: str) -> None:
    lines = text.format(program="moot").replace("`", "\n").splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("moot ")]
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command.split("  ")[0].rstrip(":; "))[1:]
        assert GRAMMAR.read(words).command is not None or words[0] == "help", command
