"""completion and man: what shells and manuals can know of the commands. Made from the grammar whenever it is asked."""

import re
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer
from moot.console.described import Described, bash, fish, manual, manual_of, pages, zsh
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.requests.queries import Begun
from moot_protocol.times import format_ms

_DATE_CHARS: Final = 10
_OFFERED: Final = 200
"""Issues that are offered at once, those changed last."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Ids that are offered: shells expand what they are offered, and ids come from others too."""
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
        date = format_ms(context.now_ms)[:_DATE_CHARS]
        if context.arguments.output:
            return _written(context, list(pages(every, program, date)))
        name = " ".join(context.arguments.name)
        found = [each for each in every if name in (each.name, *each.aliases)]
        if name and not found:
            raise RefusedError(f"there is no command {name!r}", code=Code.NOT_FOUND, hint=f"see `{program} help`")
        page = manual_of(found[0], program, date) if found else manual(every, program, date)
        answer(context, {"name": name, "page": page}, [page.rstrip("\n")])
        return exits.OK

    return (
        *(_completion(shell, described) for shell in _SHELLS),
        Command(
            "completion ids",
            "The ids of issues that begin so, as completion offers them",
            _ids_arguments,
            _ids,
            examples=("moot completion ids bd-a1", "moot completion ids --titles"),
        ),
        Command(
            "man",
            "The manual page of a command, or of all, for man",
            _man_arguments,
            man,
            examples=("moot man dep add | man -l -", "moot man --output ~/.local/share/man/man1"),
            alone=True,
            unaided=True,
        ),
    )


def _completion(shell: str, described: Callable[[], Sequence[Described]]) -> Command:
    def run(context: Context) -> int:
        script = _SHELLS[shell](described(), context.terminal.facts.program)
        answer(context, {"shell": shell, "script": script}, [script.rstrip("\n")])
        return exits.OK

    return Command(
        f"completion {shell}",
        f"Completion for {shell}",
        no_arguments,
        run,
        examples=(_INSTALLS[shell],),
        alone=True,
        unaided=True,
    )


def _ids_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("start", nargs="?", default="", metavar="START", help="how they begin; else all")
    parser.add_argument("--titles", action="store_true", help="with their titles, after a tab")


def _ids(context: Context) -> int:
    start = context.arguments.start
    found = [
        issue for issue in _begun(context, start) if issue["id"].startswith(start) and _PLAIN.fullmatch(issue["id"])
    ]
    told = [
        lines.text_of(issue, "id") + (f"\t{lines.text_of(issue, 'title')}" if context.arguments.titles else "")
        for issue in found
    ]
    answer(context, [issue["id"] for issue in found], told)
    return exits.OK


def _begun(context: Context, start: str) -> list[IssueDoc]:
    """Issues of the project, among them those whose ids begin so that were changed last: as many as are offered."""
    wanted = Filter(projects=(context.project,) if context.project else ())
    if start:
        try:
            page = context.api.call(Begun(starts=(start,), filter=wanted))
        except MootError:  # what a sandbox has of the project tells no beginnings
            page = Page(issues=[], total=None, truncated=True)
        if not page.truncated:
            return sorted(page.issues, key=lambda issue: str(issue.get("updated_at")), reverse=True)[:_OFFERED]
    # Among those changed last soon enough are so many that begin so.
    wanted = replace(wanted, title_or_id=start)
    return context.api.call(ListIssues(filter=wanted, all=True, sort="updated", limit=_OFFERED)).issues


def _man_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", metavar="COMMAND", help="which command; else a list of all")
    parser.add_argument("-o", "--output", default="", metavar="FOLDER", help="write every page there, as files for man")


def _written(context: Context, found: Sequence[tuple[str, str]]) -> int:
    if context.arguments.name:
        raise RefusedError("--output writes every page", code=Code.USAGE, hint="name a command, or give --output")
    folder = context.arguments.output.rstrip("/") or "/"
    for name, page in found:
        context.terminal.write_file(f"{folder}/{name}", [page.encode()])
    told = f"Wrote {several(len(found), 'page')} to {neutralise(folder)}"
    answer(context, {"folder": folder, "pages": [name for name, _ in found]}, [confirmed(context, told)])
    return exits.OK
