"""setup and hooks: nothing is written unasked, nothing of others is lost."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from moot.console import main
from moot.console.commands.machine.setting_up import COMMANDS, HOOKS, TOOLS
from moot.console.terminal import Facts
from moot_protocol.errors import RefusedError
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, Ran, run
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal

FOLDER = "/r/.git/hooks"


def tried(
    argv: str,
    files: dict[str, bytes] | None = None,
    facts: Facts = FACTS,
    stdin: bytes = b"",
    *,
    git: bool = True,
    modes: dict[str, int] | None = None,
) -> Ran:
    terminal = RecordingTerminal(facts, stdin=[stdin], files=files)
    terminal.modes |= modes or {}
    terminal.tools = {"git-hooks": f"{FOLDER}\n"} if git else {}
    return run(COMMANDS, argv, CannedApi(), facts, terminal=terminal)


# -- setup -------------------------------------------------------------------------------------------------------
def test_without_consent_it_is_shown_and_nothing_is_written() -> None:
    asked = tried("setup claude", facts=at_terminal(), stdin=b"n\n")
    assert (asked.terminal.files, "Write it?" in asked.err, asked.code) == ({}, True, 1)
    assert "moot ready" in asked.err
    assert asked.err.endswith("Nothing was written\n")


@pytest.mark.parametrize("command", ["setup claude", "hooks install"])
@pytest.mark.parametrize("program", ["moot", "bd"])
def test_where_nobody_can_be_asked_it_is_refused_and_nothing_is_written(command: str, program: str) -> None:
    for argv, facts in ((command, FACTS), (f"{command} --json", at_terminal())):
        terminal = RecordingTerminal(facts._replace(program=program, argv=tuple(argv.split())), stdin=[b"y\n"])
        terminal.tools = {"git-hooks": f"{FOLDER}\n"}
        assert main.run(CannedApi(), terminal, NOW_MS, str) == (1 if program == "bd" else 2)
        assert terminal.files == {}
        assert "This would be written to" in terminal.complaints
        told = terminal.complaints + terminal.written
        assert "nothing was written" in told
        assert "--yes writes it" in told


def test_what_is_to_be_removed_is_shown_as_it_stands_with_what_stays() -> None:
    mine = tried("setup claude --yes", {"CLAUDE.md": b"# Mine\n"}).terminal.files
    edited = {"CLAUDE.md": mine["CLAUDE.md"].replace(b"## Issues", b"## My issues\x1b")}
    asked = tried("setup claude --remove", edited, facts=at_terminal(), stdin=b"n\n")
    assert (asked.code, asked.terminal.files) == (1, edited)
    first, _, file, _, begin, heading, *_, last = asked.err.splitlines()
    assert first == (
        "This would be removed; `moot setup claude` writes it again, without what was changed in it by hand:"
    )
    assert (file, begin) == ("CLAUDE.md (all else in the file stays):", "<!-- moot: begin -->")
    assert heading == "## My issues^["
    assert last == "Remove it? [y/N] Nothing was removed"


@pytest.mark.parametrize("command", ["setup claude --remove", "hooks uninstall"])
def test_a_file_that_would_go_with_its_section_is_named_as_such(command: str) -> None:
    made = tried("setup claude --yes").terminal.files | tried("hooks install --yes").terminal.files
    asked = tried(command, made, facts=at_terminal(), stdin=b"\n")
    assert "(the file with it, for nothing else stands there):\n" in asked.err
    assert "would be written" not in asked.err
    with pytest.raises(RefusedError, match="nothing was removed") as refused:
        tried(command, made)
    assert refused.value.hint == "--yes removes it"


@pytest.mark.parametrize(("tool", "path"), TOOLS.items())
def test_each_tool_has_its_file_and_what_stands_there_stays(tool: str, path: str) -> None:
    ran = tried(f"setup {tool} --yes", {path: b"# Mine\n"})
    text = ran.terminal.files[path].decode()
    assert text.startswith("# Mine\n\n<!-- moot: begin -->\n## Issues\n")
    again = tried(f"setup {tool} --yes", {path: text.encode()})
    assert again.out == f"Nothing to do: {path} is as it should be\n"
    removed = tried(f"setup {tool} --remove --yes", {path: text.encode()})
    assert removed.terminal.files[path] == b"# Mine\n"
    assert removed.out == f"✓ Took the section out of {path}\n"


@pytest.mark.parametrize(("tool", "path"), TOOLS.items())
def test_a_file_that_held_nothing_else_goes_with_its_section(tool: str, path: str) -> None:
    made = tried(f"setup {tool} --yes").terminal.files
    ran = tried(f"setup {tool} --remove --yes", made)
    assert ran.terminal.files == {}
    assert ran.out == f"✓ Removed {path}, in which nothing else stood\n"
    assert tried(f"setup {tool} --remove --yes").out == f"Nothing to do: {path} is as it should be\n"


@pytest.mark.parametrize(("argv", "path"), [("setup claude", "CLAUDE.md"), ("hooks install", f"{FOLDER}/pre-push")])
def test_what_is_there_and_cannot_be_read_is_not_replaced(argv: str, path: str) -> None:
    terminal = RecordingTerminal(FACTS, files={path: b"mine"})
    terminal.unreadable.add(path)
    terminal.tools = {"git-hooks": f"{FOLDER}\n"}
    with pytest.raises(RefusedError, match="exists"):
        run(COMMANDS, f"{argv} --yes", CannedApi(), FACTS, terminal=terminal)
    assert terminal.files[path] == b"mine"


def test_a_yes_at_the_terminal_writes_it() -> None:
    ran = tried("setup codex", facts=at_terminal(), stdin=b"Y\n")
    assert b"moot prime" in ran.terminal.files["AGENTS.md"]
    assert "AGENTS.md" in ran.out


def test_a_rule_of_cursors_has_its_head() -> None:
    text = tried("setup cursor --yes").terminal.files[".cursor/rules/moot.mdc"].decode()
    assert text.startswith("---\ndescription:")


def test_checking_tells_by_its_exit_code() -> None:
    current = tried("setup claude --yes").terminal.files
    assert (tried("setup claude --check", current).code, tried("setup claude --check").code) == (0, 1)
    old = {"CLAUDE.md": current["CLAUDE.md"].replace(b"Keep no", b"Keep some")}
    ran = tried("setup claude --check --json", old)
    assert (ran.code, json.loads(ran.out)) == (1, {"file": "CLAUDE.md", "state": "outdated"})


def test_the_tools_are_listed_and_others_refused() -> None:
    assert tried("setup").out == tried("setup --list").out
    assert "claude: CLAUDE.md" in tried("setup").out
    with pytest.raises(RefusedError):
        tried("setup emacs")
    with pytest.raises(RefusedError):
        tried("setup claude --yes", {"CLAUDE.md": b"\xff"})


# -- hooks -------------------------------------------------------------------------------------------------------
def hooks(ran: Ran) -> dict[str, str]:
    return {path.rpartition("/")[2]: data.decode() for path, data in ran.terminal.files.items()}


def test_hooks_are_put_in_and_taken_out_only_with_consent() -> None:
    ran = tried("hooks install --yes")
    assert hooks(ran).keys() == set(HOOKS)
    assert set(ran.terminal.modes.values()) == {0o755}
    again = tried("hooks install --yes --json", ran.terminal.files)
    assert json.loads(again.out) == {"files": [], "written": False}
    gone = tried("hooks uninstall --yes", ran.terminal.files)
    assert gone.terminal.files == {}
    assert gone.out.startswith(f"✓ Removed {FOLDER}/post-merge, in which nothing else stood\n")
    assert tried("hooks uninstall --yes").out == "Nothing to do\n"


def test_a_hook_of_another_tool_runs_on_behind_ours(tmp_path: Path) -> None:
    other = b'#!/bin/sh\necho other "$@"\nexit 3\n'
    text = hooks(tried("hooks install --yes", {f"{FOLDER}/pre-push": other}))["pre-push"]
    assert text.startswith("#!/bin/sh\n# moot: begin\n")
    (tmp_path / "pre-push").write_text(text)
    (tmp_path / "moot").write_text('#!/bin/sh\necho moot "$@"; cat; exit 1\n')
    (tmp_path / "moot").chmod(0o755)
    done = subprocess.run(
        ["sh", tmp_path / "pre-push", "origin"],
        input="refs",
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert (done.returncode, done.stdout) == (3, "moot hooks run pre-push origin\nother origin\n")
    assert tried("hooks uninstall --yes", {f"{FOLDER}/pre-push": text.encode()}).terminal.files == {
        f"{FOLDER}/pre-push": other
    }


@pytest.mark.parametrize("other", [b"#!/usr/bin/env python3\nprint()\n", b"echo\n"])
def test_what_is_no_shell_script_is_left_alone(other: bytes) -> None:
    with pytest.raises(RefusedError, match="no shell script"):
        tried("hooks install --yes", {f"{FOLDER}/post-merge": other})


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o700, 0o775])
@pytest.mark.parametrize(
    ("command", "path"), [("hooks {}install", f"{FOLDER}/pre-push"), ("setup claude", "CLAUDE.md")]
)
def test_a_file_that_is_there_keeps_its_permissions(command: str, path: str, mode: int) -> None:
    other, modes = {path: b"#!/bin/sh\nexit 3\n"}, {path: mode}
    done = tried(f"{command.format('')} --yes", other, modes=modes)
    assert done.terminal.modes[path] == mode
    removed = f"{command} --remove" if path == "CLAUDE.md" else command.format("un")
    undone = tried(f"{removed} --yes", done.terminal.files, modes=done.terminal.modes)
    assert (undone.terminal.files[path], undone.terminal.modes[path]) == (other[path], mode)


def test_a_hook_that_git_does_not_run_is_left_so_and_told_as_such() -> None:
    path = f"{FOLDER}/pre-push"
    done = tried("hooks install --yes", {path: b"#!/bin/sh\nexit 3\n"}, modes={path: 0o600})
    told = f"{path} isn't executable, so git doesn't run it; `chmod +x` lets it run\n"
    assert done.err == told
    assert done.out.splitlines()[-1] == f"✓ Installed {path}"
    again = tried("hooks install --yes", done.terminal.files, modes=done.terminal.modes)
    assert (again.out, again.err) == ("Nothing to do\n", told)
    listed = tried("hooks list", done.terminal.files, modes=done.terminal.modes)
    assert listed.out.splitlines() == [
        "post-merge: installed",
        "post-checkout: installed",
        "pre-push: installed, but not executable: git doesn't run it",
    ]
    runs = tried("hooks install --yes", {path: b"#!/bin/sh\nexit 3\n"}, modes={path: 0o700})
    assert runs.err == ""


def test_the_state_of_each_hook_is_told() -> None:
    files = dict(tried("hooks install --yes").terminal.files)
    files[f"{FOLDER}/pre-push"] = files[f"{FOLDER}/pre-push"].replace(b"</dev/null", b"")
    del files[f"{FOLDER}/post-merge"]
    rows: list[Any] = json.loads(tried("hooks list --json", files).out)
    assert {row["name"]: row["state"] for row in rows} == {
        "post-merge": "not installed", "post-checkout": "installed", "pre-push": "outdated"
    }  # fmt: skip
    assert tried("hooks list").out.splitlines()[0] == "post-merge: not installed"


def test_outside_of_a_repository_that_is_said() -> None:
    with pytest.raises(RefusedError, match="git"):
        tried("hooks install --yes", git=False)


def test_as_bd_hooks_are_listed_under_the_names_that_bd_has() -> None:
    found = json.loads(tried("hooks list --json", {}, facts=FACTS._replace(program="bd")).out)["hooks"]
    assert (found[0]["Name"], found[0]["Installed"], found[0]["Outdated"]) == ("post-merge", False, False)
