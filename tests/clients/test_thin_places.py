"""Which project a client means: `-C`, `--db` and the variables of Beads, told to a control socket that listens."""

from typing import Any

from moot.console.terminal import Facts
from moot_testkit.clients.control import Daemon
from moot_testkit.clients.thin import Shell
from mootd.control.hosting import HostedTerminal

Terminal = HostedTerminal[Facts]


def facts_of(daemon: Daemon, shell: Shell, *arguments: str, **options: Any) -> Facts:
    """What the daemon is told by a client that is run so."""
    told: list[Facts] = []

    def command(terminal: Terminal) -> int:
        told.append(terminal.facts)
        return 0

    daemon.commands.command = command
    assert shell.run(*arguments, **options).returncode == 0
    return told[0]


def test_called_as_bd_a_database_names_its_project(daemon: Daemon, shell: Shell) -> None:
    (shell.work / "other" / ".moot").mkdir(parents=True)
    (shell.work / "other" / ".moot" / "workspace").write_text("w-other\n")
    told = facts_of(daemon, shell, "list", "--db", "other/.beads/beads.db", program="bd")
    assert (told.workspace, told.argv) == ("w-other", ("list", "--db", "other/.beads/beads.db"))


def test_what_the_command_line_names_takes_the_place_of_the_variables_of_beads(daemon: Daemon, shell: Shell) -> None:
    for name in ("other", "meant"):
        (shell.work / name / ".moot").mkdir(parents=True)
        (shell.work / name / ".moot" / "workspace").write_text(f"w-{name}\n")
    variables = {"BEADS_DIR": str(shell.work / "other" / ".beads")}
    assert facts_of(daemon, shell, "list", **variables).workspace == "w-other"
    for program in ("moot", "bd"):
        told = facts_of(daemon, shell, "-C", "meant", "list", program=program, **variables)
        assert (told.workspace, "BEADS_DIR" in told.environment) == ("w-meant", False)
    told = facts_of(daemon, shell, "list", "--db", "meant/.beads/beads.db", program="bd", **variables)
    assert told.workspace == "w-meant"


def test_with_c_it_works_in_another_folder(daemon: Daemon, shell: Shell) -> None:
    other = shell.work / "other"
    (other / "deep").mkdir(parents=True)
    told = facts_of(daemon, shell, "-C", "other", "list", "-C", "deep", "--", "-C", "x")
    assert (told.argv, told.folder) == (("list", "--", "-C", "x"), str(other / "deep"))
    (other / "f").write_text("there")

    def reading(terminal: Terminal) -> int:
        terminal.out(b"".join(terminal.read_file("f")).decode())
        return 0

    daemon.commands.command = reading
    assert shell.run("-C", "other", "read").stdout == b"there"
