"""backup: a verified copy of this machine's data, and whether one is still as it was written."""

import posixpath
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.context import answer, note
from moot.console.lines.confirm import confirmed
from moot.console.notices import not_here
from moot.console.progress import Progress
from moot.console.text import when
from moot.console.text.amounts import several, size
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Backup, CheckBackup

_DIGEST_SHOWN: Final = 16
_UNITS: Final = {"copying": "bytes", "verifying": "rows"}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="+", metavar="FOLDER", help="a folder that isn't there yet, or is empty; with --check, a backup"
    )
    parser.add_argument(
        "--check", action="store_true", help="verify a backup that is there; ends with code 1 if it is bad"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the folder, say what would be copied, write nothing"
    )


def _backup(context: Context) -> int:
    given = context.arguments
    folder = posixpath.normpath(posixpath.join(context.terminal.facts.folder, _folder(given.folder)))
    if given.check and given.dry_run:
        raise RefusedError("--check writes nothing: it has no --dry-run", code=Code.USAGE, hint="leave --dry-run away")
    if given.check:
        return _check(context, folder)
    if given.dry_run:
        planned = context.api.call(Backup(folder=folder, dry_run=True))
        answer(context, {"dry_run": True, **_without_place(planned)}, _planned(planned))
        return exits.OK
    made = _ended(context, lambda cursor: Backup(folder=folder, cursor=cursor))
    answer(context, _without_place(made), _made(context, made))
    note(context, "Whoever reads the folder has this machine's private keys: keep it as you keep passwords")
    return exits.OK


def _folder(words: list[str]) -> str:
    """The folder that was named, and none of Beads' subcommands.

    Raises:
        RefusedError: `usage`.
    """
    refused = not_here.refusal(["backup", words[0]])
    if refused is not None:
        raise refused
    if len(words) > 1:
        raise RefusedError(f"one folder at a time, not {len(words)}", code=Code.USAGE, hint="name one FOLDER")
    return words[0]


def _check(context: Context, folder: str) -> int:
    found = _ended(context, lambda cursor: CheckBackup(folder=folder, cursor=cursor))
    problems = found["problems"]
    answer(context, {"ok": not problems, **_without_place(found)}, _checked(context, found))
    return exits.FAILED if problems else exits.OK


def _ended(context: Context, ask: Callable[[str], Request[dict[str, Any]]]) -> dict[str, Any]:
    """The last answer of a request that is repeated with its cursor until it is done."""
    stretch = context.api.call(ask(""))
    shown = ""
    while not stretch["done"]:
        if stretch["stage"] != shown:
            shown = stretch["stage"]
            progress = Progress(context, shown, _UNITS.get(shown, ""))
        progress.report(*stretch["progress"])
        stretch = context.api.call(ask(stretch["cursor"]))
    if shown:
        progress.end()
    return stretch


def _without_place(stretch: dict[str, Any]) -> dict[str, Any]:
    """What was answered, without what only served to ask again."""
    return {name: value for name, value in stretch.items() if name not in {"done", "cursor", "stage", "progress"}}


def _planned(planned: dict[str, Any]) -> Iterator[str]:
    files = planned["files"]
    where = neutralise(str(planned["folder"]))
    told = f"at most {size(planned['bytes'])} and {several(len(files) - 1, 'small file')}"
    yield f"Dry run: nothing is written. It would copy {told} to {where}:"
    yield from (f"  {neutralise(str(name))}" for name in files)


def _made(context: Context, made: dict[str, Any]) -> Iterator[str]:
    where = neutralise(str(made["folder"]))
    told = f"{several(made['batches'], 'batch', 'es')}, {several(made['events'], 'event')}, {size(made['bytes'])}"
    yield confirmed(context, f"Copied to {where} and verified: {told}")
    yield from _planes(made)


def _checked(context: Context, found: dict[str, Any]) -> Iterator[str]:
    where = neutralise(str(found["folder"]))
    for problem in found["problems"]:
        hint = f" ({neutralise(str(problem['hint']))})" if problem.get("hint") else ""
        yield f"✗ {neutralise(str(problem['where']))}: {neutralise(str(problem['problem']))}{hint}"
    if found["problems"]:
        yield f"{where} is damaged: {several(len(found['problems']), 'problem')}"
        return
    told = f"{several(found['batches'], 'batch', 'es')}, {several(found['events'], 'event')}"
    yield confirmed(context, f"{where} is whole: {told}, made {when.age(found['made'], context.now_ms)}")
    yield from _planes(found)


def _planes(found: dict[str, Any]) -> Iterator[str]:
    for plane in found["planes"]:
        digest = str(plane["digest"])[:_DIGEST_SHOWN]
        yield f"  {neutralise(str(plane['name']))}: {several(plane['events'], 'event')}, digest {digest}"


COMMANDS: Final = (
    Command(
        "backup",
        "Copy all that this machine needs to go on, private keys included, and verify the copy",
        _arguments,
        _backup,
        examples=(
            "moot backup /mnt/disk/moot-monday",
            "moot backup /mnt/disk/moot-monday --dry-run  # what would be copied",
            "moot backup --check /mnt/disk/moot-monday  # code 1: it is damaged",
        ),
        alone=True,
    ),
)
