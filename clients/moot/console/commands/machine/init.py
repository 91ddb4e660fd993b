"""init: make this machine's town if there is none, and a project for the folder.

Writes two small files in one folder of its own, says so, and changes nothing when run again. It asks one thing, at a
terminal: whether to adopt the issue file of Beads that lies there. The recovery words are handed over before anything
else can go wrong, since nobody can have them twice. Called as `bd`, it makes the `.beads` folder, too, by which
programs written for Beads know a project; nothing is kept in it.
"""

import posixpath
import re
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from moot.console import as_bd, documents, exits
from moot.console.command import Command, Context
from moot.console.commands.log import mirror
from moot.console.commands.machine import spools
from moot.console.context import answer, check_own_folder, check_variables, is_trial, note, say, workspace_folder
from moot.console.lines.confirm import confirmed
from moot.console.notices.recovery_words import FILE_FIELD, hand_over
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import check_prefix
from moot_protocol.limits import ID_PREFIX_CHARS
from moot_protocol.requests.exchange import Planes
from moot_protocol.requests.issues import Count, InitProject, InitTown, WorkspaceInfo
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Status
from moot_protocol.requests.mirrors import FILES, Mirrors
from moot_protocol.spool.project_folder import FOLDER, WORKSPACE_FILE

IGNORE_FILE: Final = f"{FOLDER}/.gitignore"
BEADS_IGNORE_FILE: Final = ".beads/.gitignore"
_BEADS_IGNORE: Final = b"*\n!issues.jsonl\n"
"""A mirror's file may be committed; the folder by itself doesn't show."""
_NAMED: Final = 5
"""Other projects that are named at most."""
_UNFIT: Final = re.compile(r"[^a-z0-9._-]+")
_SWITCHES: Final = (
    "--contributor", "--debug", "--discard-remote", "--external", "--force", "--reinit-local", "--server",
    "--shared-server", "--team",
)  # fmt: skip
"""Flags of `bd init` about where Beads keeps its data, or about taking old data away: nothing is taken away here."""
_VALUES: Final = (
    "--agents-file", "--agents-profile", "--agents-template", "--backend", "--database", "--destroy-token", "--remote",
    "--role", "--server-host", "--server-port", "--server-socket", "--server-user", "--setup-exclude",
)  # fmt: skip
"""The same, with a value."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-p", "--prefix", metavar="PREFIX", help="what its issue ids begin with; else the folder's name"
    )
    parser.add_argument("--plane", default="", help="the plane it goes to; else the machine's first ledger")
    parser.add_argument(
        "--mirror", action=BooleanOptionalAction, help="import .beads/issues.jsonl and keep it in step, or leave it"
    )
    parser.add_argument("--from-jsonl", dest="mirror", action="store_true", default=None, help="as --mirror")
    spools.add_argument(parser)
    for flag in ("--init-if-missing", "--non-interactive", "--skip-agents", "--skip-hooks", "--stealth", *_SWITCHES):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: this is what is done anyway")
    for flag in _VALUES:
        parser.add_argument(flag, metavar="…", help="accepted for bd's sake: it changes nothing here")


def _init(context: Context) -> int:
    facts = context.terminal.facts
    folder = posixpath.normpath(facts.folder)
    _check_folder(folder, facts.environment.get("HOME", ""))
    if not facts.workspace:
        check_variables(context)
    known = context.api.call(WorkspaceInfo(workspace=facts.workspace)) if facts.workspace else None
    if known and not context.arguments.plane:
        return _known_already(context, str(known["project"]))
    prefix = check_prefix(context.arguments.prefix or (str(known["project"]) if known else default_prefix(folder)))
    if is_trial(context):
        return _foretell(context, prefix, folder)
    town = context.api.call(InitTown())
    handed_over = hand_over(context, town)
    asked = InitProject(
        actor=context.actor, prefix=prefix, workspace=facts.workspace, folder=folder, plane=context.arguments.plane
    )
    if not facts.workspace:
        context.api.call(replace(asked, dry_run=True))  # what can't be opened leaves no folder behind
        context.terminal.write_file(IGNORE_FILE, [b"*\n"])
    made = _open_project(context, asked)
    _tell(context, town | handed_over, made, folder)
    _note_others(context, town, made | {"project": prefix})
    if not context.json:
        _offer_mirror(context, folder, str(made["workspace"]))
        spools.in_words(context, str(made["workspace"]))
    return exits.OK


def _foretell(context: Context, prefix: str, folder: str) -> int:
    """Say what would be made. A project can only be tried where there is a town already."""
    facts, given = context.terminal.facts, context.arguments
    town = context.api.call(InitTown())
    asked = InitProject(actor=context.actor, prefix=prefix, workspace=facts.workspace, folder=folder, plane=given.plane)
    made = {"created": True} if town["created"] else context.api.call(asked)
    file = _needed_file(context, folder) if given.mirror else ""
    files = [] if facts.workspace else [IGNORE_FILE, WORKSPACE_FILE]
    document = {"prefix": prefix, "created": made["created"], "town_created": town["created"], "files": files}
    document |= {"mirror": file} if file else {}
    document |= {} if given.spool is None else {"spool": given.spool}
    told = ["Would make your town, with this machine as its first"] if town["created"] else []
    joined = "" if made["created"] else _joined(context, prefix, folder)
    doing = "join" if joined else "open"
    told.append(f"Would {doing} project {neutralise(prefix)} for {neutralise(folder)}{joined}")
    told += [f"  Would write {' and '.join(files)}; they stay out of git"] if files else []
    told += [f"  Would import {file}, and keep it and this project in step"] if file else []
    if given.spool is not None:
        told.append(f"  Would {'open' if given.spool else 'close'} the spool for commands from sandboxes")
    answer(context, document, told)
    _note_others(context, town, made | {"project": prefix})
    if facts.is_bd:
        _make_beads_folder(context)
    return exits.OK


def _check_folder(folder: str, home: str) -> None:
    if folder == "/" or (home and folder == posixpath.normpath(home)):
        raise RefusedError(
            f"{folder} is no place for a project", code=Code.DENIED, hint="go to the folder that the work is in"
        )


def default_prefix(folder: str) -> str:
    """A prefix out of a folder's name: what of it can stand in ids, in lower case."""
    name = _UNFIT.sub("-", posixpath.basename(folder).lower()).strip("._-")
    return name[:ID_PREFIX_CHARS].strip("._-") or "moot"


def _known_already(context: Context, project: str) -> int:
    prefix = context.arguments.prefix
    if prefix and prefix != project:
        raise RefusedError(
            f"this workspace is the project {project} already",
            code=Code.CONFLICT,
            hint="a prefix stays; another project needs a folder of its own",
        )
    check_own_folder(context)
    workspace_folder(context)  # notes where a project lies that was moved
    document = {"prefix": project, "workspace": context.terminal.facts.workspace, "created": False}
    if not context.json:
        has_more = context.arguments.mirror or context.arguments.spool is not None
        told = f"{'This' if has_more else 'Nothing to do: this'} is the project {neutralise(project)} already"
        answer(context, document, [told])
        _offer_mirror(context, posixpath.normpath(context.terminal.facts.folder), context.terminal.facts.workspace)
        spools.in_words(context, context.terminal.facts.workspace)
        return exits.OK
    adopted = _adopted(context, posixpath.normpath(context.terminal.facts.folder), context.terminal.facts.workspace)
    spooled = spools.in_document(context, context.terminal.facts.workspace)
    documents.write(context, document | adopted | spooled)
    return exits.OK


def _open_project(context: Context, asked: InitProject) -> dict[str, Any]:
    made = context.api.call(asked)
    if not asked.workspace:
        try:
            context.terminal.write_file(WORKSPACE_FILE, [f"{made['workspace']}\n".encode()], exclusive=True)
        except RefusedError as error:
            made = _made_meanwhile(context, made, error)
    if context.terminal.facts.is_bd:
        _make_beads_folder(context)
    return made


def _made_meanwhile(context: Context, made: dict[str, Any], error: RefusedError) -> dict[str, Any]:
    """The project that another command has opened in this folder meanwhile, if it is the same.

    Raises:
        RefusedError: `exists`: it is another one; `error`: the file of the workspace couldn't be written.
    """
    if error.code is not Code.EXISTS:
        raise error
    first = next(iter(context.terminal.read_file(WORKSPACE_FILE, ordinary=True)), b"").partition(b"\n")[0]
    workspace = first.decode("utf-8", "replace").strip()
    known = context.api.call(WorkspaceInfo(workspace=workspace)) if workspace else None
    if known is None or known["project"] != made["project"]:
        hint = "`moot where` tells which project it is of now"
        raise RefusedError(f"{WORKSPACE_FILE} was made meanwhile", code=Code.EXISTS, hint=hint) from error
    return made | {"workspace": workspace, "created": False}


def _make_beads_folder(context: Context) -> None:
    """Make `.beads`, unless somebody has one there already: then it is theirs. The project stands without it, too."""
    try:
        context.terminal.write_file(BEADS_IGNORE_FILE, [_BEADS_IGNORE], exclusive=True)
    except RefusedError as error:
        if error.code is not Code.EXISTS:
            told = "No .beads folder was made, by which programs written for Beads know a project"
            note(context, f"{told}: {neutralise(error.message)}")


def _tell(context: Context, town: dict[str, Any], made: dict[str, Any], folder: str) -> None:
    files = [] if context.terminal.facts.workspace else [IGNORE_FILE, WORKSPACE_FILE]
    if context.json:
        document = {
            "prefix": made["project"],
            "workspace": made["workspace"],
            "created": made["created"],
            "town": town["town"],
            "replica": town["replica"],
            "files": files,
        }
        words = {FILE_FIELD: town[FILE_FIELD]} if FILE_FIELD in town else {}
        adopted = _adopted(context, folder, str(made["workspace"]))
        spooled = spools.in_document(context, str(made["workspace"]))
        documents.write(context, document | words | adopted | spooled)
        return
    answer(context, made, _lines(context, town, made, folder, files))


# -- An issue file that lies there -------------------------------------------------------------------------------
def _adopted(context: Context, folder: str, workspace: str) -> dict[str, Any]:
    """For the document: the mirror, where one was asked for."""
    if not context.arguments.mirror:
        return {}
    return {"mirror": _adopt(context, folder, _needed_file(context, folder), workspace)}


def _offer_mirror(context: Context, folder: str, workspace: str) -> None:
    """Adopt the issue file of Beads that lies in the folder, if that is wanted; say how, if nobody can be asked."""
    wanted = context.arguments.mirror
    if wanted is False:
        return
    file = _needed_file(context, folder) if wanted else mirror.find_file(context, folder)
    if not file:
        return
    facts = context.terminal.facts
    if wanted is None and facts.workspace and context.api.call(Mirrors(folder=folder)):
        return  # it is kept in step already
    asks = facts.in_is_terminal and facts.out_is_terminal and not context.arguments.non_interactive
    asks = asks and not is_trial(context)
    if wanted is None and asks and not context.arguments.quiet:
        context.terminal.out(f"Import {file}, and keep it and this project in step? [y/N] ")
        wanted = next(iter(context.terminal.stdin()), b"").strip().lower() in {b"y", b"yes"}
    if not wanted:
        how = "`moot mirror on` imports it and keeps it in step"
        say(context, f"  {file} stays as it is; {as_bd.hint(how) if facts.is_bd else how}")
        return
    answer(context, None, mirror.adopted_lines(context, _adopt(context, folder, file, workspace)))


def _needed_file(context: Context, folder: str) -> str:
    found = mirror.find_file(context, folder)
    if not found:
        raise RefusedError(f"there is no {FILES[0]} in {folder}", code=Code.NOT_FOUND)
    return found


def _adopt(context: Context, folder: str, file: str, workspace: str) -> dict[str, Any]:
    known = context.api.call(WorkspaceInfo(workspace=workspace)) or {}
    place = workspace, str(known.get("project", "")), str(known.get("plane", ""))
    return mirror.adopt(context, folder, file, place)


def _joined(context: Context, project: str, folder: str) -> str:
    """What is there already of a project that a folder joins, in words."""
    there = [each for each in context.api.call(Status())["projects"] if each["project"] == project]
    others = [neutralise(each["folder"]) for each in there if each["folder"] != folder]
    issues = max((each["issues"] for each in there), default=0)
    also = f", also in {', '.join(others)}" if others else ""
    return f": an existing project with {several(issues, 'issue')}{also}"


def _note_others(context: Context, town: dict[str, Any], made: dict[str, Any]) -> None:
    """Name the projects that are here already, where a new one was made: one of those may have been meant."""
    if town["created"] or not made["created"]:
        return
    planes = context.api.call(Planes())
    others = sorted({str(name) for plane in planes for name in plane["projects"]} - {str(made["project"])})
    if not others:
        return
    issues = (context.api.call(Count(filter=Filter(projects=(name,)), all=True))["total"] for name in others[:_NAMED])
    named = [f"{neutralise(name)} ({several(count, 'issue')})" for name, count in zip(others, issues, strict=False)]
    rest = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    meant = neutralise(others[0]) if len(others) == 1 else "NAME"
    program = context.terminal.facts.program
    note(context, f"This project is new. Planes here hold {', '.join(named)}{rest}: `{program} init --prefix {meant}`")


def _lines(
    context: Context, town: dict[str, Any], made: dict[str, Any], folder: str, files: list[str]
) -> Iterator[str]:
    program = context.terminal.facts.program
    if town["created"]:
        yield confirmed(context, f"Made your town {town['town']}, with this machine as replica {town['replica']}")
    joined = "" if made["created"] else _joined(context, str(made["project"]), folder)
    yield confirmed(context, f"Opened project {neutralise(made['project'])} for {neutralise(folder)}{joined}")
    if files:
        yield f"  Wrote {' and '.join(files)}; they stay out of git"
    if joined and files:
        yield f"  Another one was meant? Delete .moot here, and run `{program} init --prefix NAME`"
    yield f'  Next: `{program} create "What is to be done"`, then `{program} ready`'


COMMANDS: Final = (
    Command(
        "init",
        "Make a project of this folder, and your town if there is none",
        _arguments,
        _init,
        examples=("moot init", "moot init --prefix bd"),
        alone=True,
    ),
)
