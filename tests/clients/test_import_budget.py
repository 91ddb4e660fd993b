"""What the client process loads: every module costs a part of what a command may take."""

import subprocess
import sys
from pathlib import Path

from moot_testkit.clients.control import serving
from moot_testkit.clients.thin import SCRIPT, environment

BUDGET = {"_socket", "moot", "moot.conversation", "moot.facts", "moot.paths", "moot.thin"}
"""All that a command may load beyond a bare interpreter. Adding to it needs a measurement, not a reason."""


def imported(arguments: list[str], folder: Path) -> set[str]:
    """The modules that a Python process loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True, text=True, check=True, cwd=folder, env=environment(folder),
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


def test_a_command_loads_exactly_the_modules_of_its_budget() -> None:
    with serving() as daemon:

        def command(terminal: object) -> int:
            del terminal
            return 0

        daemon.commands.command = command
        folder = daemon.path.parent.parent
        (folder / ".git").mkdir()
        (folder / ".git" / "config").write_text("[user]\n\tname = Alice\n")
        bare = imported(["-c", "pass"], folder)
        assert imported([str(SCRIPT), "list", "--json"], folder) - bare == BUDGET


def test_the_script_begins_so_that_an_installer_puts_its_interpreter_in() -> None:
    assert SCRIPT.read_bytes().startswith(b"#!python\n")
