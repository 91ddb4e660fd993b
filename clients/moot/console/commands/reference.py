"""completion and man: what shells and manuals can know of the commands. Made from the grammar whenever it is asked."""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.context import answer
from moot.console.described import Described, bash, fish, manual, manual_of, zsh
from moot_protocol.errors import Code, RefusedError

_SHELLS: Final[dict[str, Callable[[Sequence[Described], str], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
_INSTALLS: Final = {
    "bash": 'eval "$(moot completion bash)"',
    "zsh": 'eval "$(moot completion zsh)"',
    "fish": "moot completion fish | source",
}


def commands(described: Callable[[], Sequence[Described]]) -> tuple[Command, ...]:
    """The commands of this module.

    Args:
        described: every command there is; asked for only when one of these runs.
    """

    def man(context: Context) -> int:
        every, program = described(), context.terminal.facts.program
        name = " ".join(context.arguments.name)
        found = [each for each in every if name in (each.name, *each.aliases)]
        if name and not found:
            raise RefusedError(f"there is no command {name!r}", code=Code.NOT_FOUND, hint=f"see `{program} help`")
        page = manual_of(found[0], program) if found else manual(every, program)
        answer(context, {"name": name, "page": page}, [page.rstrip("\n")])
        return exits.OK

    return (
        *(_completion(shell, described) for shell in _SHELLS),
        Command(
            "man",
            "The manual page of a command, or of all, for man",
            _man_arguments,
            man,
            examples=("moot man dep add | man -l -",),
            alone=True,
        ),
    )


def _completion(shell: str, described: Callable[[], Sequence[Described]]) -> Command:
    def run(context: Context) -> int:
        script = _SHELLS[shell](described(), context.terminal.facts.program)
        answer(context, {"shell": shell, "script": script}, [script.rstrip("\n")])
        return exits.OK

    return Command(
        f"completion {shell}", f"Completion for {shell}", _no_arguments, run, examples=(_INSTALLS[shell],), alone=True
    )


def _no_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the flags of every command."""


def _man_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", metavar="COMMAND", help="which command; else a list of all")
