"""mirror status|on|off|sync|resume: a Beads file of the workspace that follows its project, and is followed by it.

What is done to the file the daemon does: it has to be able to when no command runs. Here it is only found and named.
"""

import posixpath
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.context import (
    answer,
    check_own_folder,
    folder_around,
    is_trial,
    need_project,
    note,
    workspace_folder,
)
from moot.console.lines.confirm import confirmed
from moot.console.lines.problems import problem_lines
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import WorkspaceInfo
from moot_protocol.requests.mirrors import FILES, MirrorOff, MirrorOn, MirrorResume, Mirrors, MirrorSync
from moot_protocol.spool.project_folder import WORKSPACE_FILE

PROBLEMS_SHOWN: Final = 20
_BEADS: Final = ".beads"
DRIVER: Final = (
    "git config merge.moot.name 'issues by field'",
    "git config merge.moot.driver 'moot merge-file %O %A %B'",
    "echo '.beads/*.jsonl merge=moot' >> .gitattributes",
)
"""What lets git merge such files by field."""


# -- Finding -----------------------------------------------------------------------------------------------------
def find_file(context: Context, folder: str) -> str:
    """The path of the Beads file in a folder, from the folder; empty where there is none."""
    for name in FILES:
        if _is_there(context, f"{folder}/{name}"):
            return name
    return ""


def _is_there(context: Context, path: str) -> bool:
    try:
        next(iter(context.terminal.read_file(path, ordinary=True)), b"")
    except RefusedError as error:
        if error.code is Code.CANCELLED:
            raise
        return False
    return True


def _place(context: Context) -> tuple[str, str]:
    """Folder and file that `mirror on` means: those named, else the Beads file of this folder or of one around it."""
    folder = posixpath.normpath(context.terminal.facts.folder)
    given = context.arguments.file
    if given:
        return _split(context, posixpath.normpath(posixpath.join(folder, given)))
    around = folder
    while True:
        found = find_file(context, around.rstrip("/"))
        if found:
            return around, found
        if around in {"/", ""}:
            raise RefusedError(
                f"there is no {FILES[0]} here",
                code=Code.NOT_FOUND,
                hint=f"`moot export -o {FILES[0]}` writes one",
            )
        around = posixpath.dirname(around)


def _split(context: Context, path: str) -> tuple[str, str]:
    """A path as the folder that it belongs to and the rest; it has to lie in the project."""
    facts = context.terminal.facts
    known = context.api.call(WorkspaceInfo(workspace=facts.workspace)) or {}
    roots = [posixpath.normpath(root) for root in (facts.folder, str(known.get("folder", ""))) if root]
    if not any(path.startswith(f"{root.rstrip('/')}/") for root in roots):
        raise RefusedError(f"{path} lies outside of the project", code=Code.DENIED, hint="go to the folder it is in")
    folder, name = posixpath.split(path)
    above, last = posixpath.split(folder)
    return (above, f"{last}/{name}") if last == _BEADS else (folder, name)


def _chosen(context: Context, verb: str) -> dict[str, Any]:
    """The mirror that is meant: the one named, else the only one of this folder.

    Args:
        context: the command's.
        verb: what is to be done, as the command line has it.

    Raises:
        RefusedError: `not_found`, `ambiguous`; says which there are.
    """
    facts = context.terminal.facts
    known = context.api.call(Mirrors())
    if context.arguments.file:
        path = posixpath.normpath(posixpath.join(facts.folder, context.arguments.file))
        found = [each for each in known if _path(each) == path]
    else:
        found = _of_folder(context, known)
    if len(found) == 1:
        return found[0]
    others = found or [each for each in known if facts.workspace and each["workspace"] == facts.workspace]
    named = ", ".join(map(_path, others))
    by_path = f"`moot mirror {verb} {shlex.quote(_path(others[0]))}` means that one" if others else ""
    if found:
        raise RefusedError(f"several mirrors here: {named}", code=Code.AMBIGUOUS, hint=f"name the file: {by_path}")
    raise RefusedError(
        f"no mirror here; this project has {named}" if others else "no mirror here",
        code=Code.NOT_FOUND,
        hint=by_path or "`moot mirror on` keeps one",
    )


def _of_folder(context: Context, mirrors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mirrors of the folder that the command runs in, never those of another copy of the project.

    They are the nearest of this folder and those around it, up to the project's; else those below the project's folder;
    else those that are gone, since it may have been moved. A linked work tree without one shares the project's.
    """
    facts = context.terminal.facts
    folder = posixpath.normpath(facts.folder)
    own = [each for each in mirrors if each["workspace"] == facts.workspace]
    root = folder_around(context) if facts.workspace else "/"
    around = [each for each in mirrors if _holds(root, each["folder"])] if root else own
    around = [each for each in around if _holds(each["folder"], folder)]
    if around:
        nearest = max(len(each["folder"]) for each in around)
        return [each for each in around if len(each["folder"]) == nearest]
    if not facts.workspace:
        return []
    if not root:
        return own
    below = [each for each in own if _holds(root, each["folder"]) and not _is_apart(context, each["folder"], root)]
    return below or [each for each in own if each["gone"]]


def _is_apart(context: Context, folder: str, root: str) -> bool:
    """Whether a folder below a project's is, or lies in, a copy of it or a linked work tree."""
    while len(folder) > len(root):
        if any(_is_there(context, f"{folder}/{name}") for name in (WORKSPACE_FILE, ".git")):
            return True
        folder = posixpath.dirname(folder)
    return False


def _path(mirror: dict[str, Any]) -> str:
    return f"{mirror['folder']}/{mirror['file']}"


def _holds(folder: str, other: str) -> bool:
    return other == folder or other.startswith(f"{folder.rstrip('/')}/")


# -- Telling -----------------------------------------------------------------------------------------------------
def mirror_lines(mirror: dict[str, Any], now_ms: int) -> Iterator[str]:
    """How a mirror stands, in lines that are safe to print."""
    name = f"{neutralise(_path(mirror))} (project {neutralise(mirror['project'])})"
    question = mirror["question"]
    if question:
        yield f"{name}: asks"
        yield (
            f"  of {several(question['total'], 'issue')} {question['gone']:,} are gone and {question['reverted']:,}"
            " went back to an older state; nothing is taken in or written before you say which is right:"
        )
        yield "  `moot mirror resume --accept`: the file is; issues whose lines are gone are deleted"
        yield "  `moot mirror resume --discard`: what is here is; the file is written anew"
    elif mirror["problem"]:
        yield f"{name}: not followed, {neutralise(mirror['problem'])}"
    else:
        stand = "an earlier version" if mirror["behind"] else "in step"
        yield f"{name}: {stand}, last changed {when.age(mirror['changed_at'], now_ms)}"
    if question and mirror["problem"]:
        yield f"  {neutralise(mirror['problem'])}"
    yield from _behind_lines(mirror)
    if mirror["missing"]:
        gone, stay = several(mirror["missing"], "issue"), "stays" if mirror["missing"] == 1 else "stay"
        yield f"  {gone} without a line in it any more {stay} here (--delete-missing: see `moot help mirror sync`)"
    if mirror["left_out"]:
        yield f"  {several(mirror['left_out'], 'line')} of its last change could not be taken in whole; they stay in it"
    yield from _left_alone_lines(mirror)
    if mirror["waiting"]:
        yield f"  {several(mirror['waiting'], 'issue')} to be written"
    if mirror["polls"]:
        yield "  it is looked at every second, since nobody tells of its changes"


def _problem_lines(mirror: Mapping[str, Any]) -> Iterator[str]:
    return problem_lines(mirror["problems"], PROBLEMS_SHOWN, "`moot import --dry-run` lists all")


def _behind_lines(mirror: Mapping[str, Any]) -> Iterator[str]:
    """What a file lacks that is an earlier version."""
    if mirror["behind"]:
        yield "  it is an earlier version; later changes stay out of it (`moot mirror sync --full` writes them)"
    if mirror["older"]:
        yield f"  {several(mirror['older'], 'line')} in it older than what is known here brought nothing"


def _left_alone_lines(mirror: Mapping[str, Any]) -> Iterator[str]:
    """Which lines brought nothing because other projects have their issues."""
    count, ids = mirror["left_alone"], mirror["left_alone_ids"]
    if count:
        of = "is of an issue that another project has" if count == 1 else "are of issues that other projects have"
        more = f" and {count - len(ids):,} more" if count > len(ids) else ""
        named = ", ".join(map(neutralise, ids))
        yield f"  {several(count, 'line')} of its last change {of}, and brought nothing: {named}{more}"


def _answer(context: Context, mirror: dict[str, Any], said: str) -> int:
    answer(context, mirror, [said, *list(mirror_lines(mirror, context.now_ms))[1:]])
    return exits.OK


# -- mirror status -----------------------------------------------------------------------------------------------
def _status_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="the mirrors of every project on this machine")


def _status(context: Context) -> int:
    facts = context.terminal.facts
    found = context.api.call(Mirrors())
    if not context.arguments.all:
        found = [each for each in found if each["workspace"] == facts.workspace]
        workspace_folder(context)  # tells of a project that was moved
    if context.json:
        documents.write(context, found)
        return exits.OK
    if not found:
        note(context, "no mirrors; `moot mirror on` keeps this project's .beads/issues.jsonl in step")
    answer(context, found, [line for each in found for line in mirror_lines(each, context.now_ms)])
    return exits.OK


# -- mirror on ---------------------------------------------------------------------------------------------------
def _on_arguments(parser: ArgumentParser) -> None:
    _file_argument(parser)
    parser.add_argument("--poll", action="store_true", help="look at it every second instead of being told of changes")


def _file_argument(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file; else the project's .beads/issues.jsonl")


def _on(context: Context) -> int:
    project = need_project(context)
    check_own_folder(context)
    workspace_folder(context)  # notes where a project lies that was moved
    folder, file = _place(context)
    workspace = context.terminal.facts.workspace
    mirror = adopt(context, folder, file, (workspace, project, context.plane), poll=context.arguments.poll)
    answer(context, mirror, adopted_lines(context, mirror))
    return exits.OK


def adopt(
    context: Context, folder: str, file: str, place: tuple[str, str, str], *, poll: bool = False
) -> dict[str, Any]:
    """Adopt a file.

    Args:
        context: the command's.
        folder: where it lies.
        file: its path from there.
        place: workspace, project and plane.
        poll: whether to look at it instead of being told of changes.
    """
    workspace, project, plane = place
    return context.api.call(
        MirrorOn(folder=folder, file=file, workspace=workspace, project=project, plane=plane, poll=poll)
    )


def adopted_lines(context: Context, mirror: dict[str, Any]) -> Iterator[str]:
    """What came of adopting a file, in lines that are safe to print."""
    path = neutralise(_path(mirror))
    if mirror.get("moved_from"):
        where = f"in place of {neutralise(mirror['moved_from'])}, which is gone"
        yield confirmed(context, f"{path} is a mirror of {neutralise(mirror['project'])} now, {where}")
        yield from _behind_lines(mirror)
        return
    if not mirror["adopted"]:
        yield f"{path} is a mirror already"
        return
    counts = ", ".join(f"{mirror[name]:,} {name}" for name in ("created", "updated", "unchanged", "skipped"))
    yield confirmed(context, f"{path} is a mirror of {neutralise(mirror['project'])} now: {counts}")
    for other, count in mirror.get("other_projects", {}).items():
        belong, stay = ("belongs", "stays") if count == 1 else ("belong", "stay")
        yield f"  {count:,} of its issues {belong} to project {neutralise(other)}, and {stay} there"
    yield from _problem_lines(mirror)
    yield from _behind_lines(mirror)
    yield "  To let git merge it by field instead of by line:"
    yield from (f"    {line}" for line in DRIVER)


# -- mirror off, sync, resume ------------------------------------------------------------------------------------
def _off(context: Context) -> int:
    mirror = _chosen(context, "off")
    context.api.call(MirrorOff(folder=mirror["folder"], file=mirror["file"]))
    said = confirmed(context, f"{neutralise(_path(mirror))} is no mirror any more; it stays as it is")
    answer(context, mirror | {"state": "off"}, [said])
    return exits.OK


def _sync_arguments(parser: ArgumentParser) -> None:
    _file_argument(parser)
    parser.add_argument("--full", action="store_true", help="write all that the project holds, not only what changed")
    parser.add_argument(
        "--delete-missing", action="store_true", help="delete the issues whose lines are gone from the file"
    )


def _sync(context: Context) -> int:
    chosen, given = _chosen(context, "sync"), context.arguments
    mirror = context.api.call(
        MirrorSync(folder=chosen["folder"], file=chosen["file"], full=given.full, delete_missing=given.delete_missing)
    )
    if is_trial(context):
        return _foretold(context, mirror)
    if mirror["state"] != "in_step":
        answer(context, mirror, mirror_lines(mirror, context.now_ms))
        return exits.CONFLICT
    done = ": taken in and written back" if mirror["behind"] else " is in step"
    return _answer(context, mirror, confirmed(context, f"{neutralise(_path(mirror))}{done}"))


def _foretold(context: Context, mirror: dict[str, Any]) -> int:
    """Say what bringing a mirror into step would do."""
    if mirror["state"] != "in_step":
        answer(context, mirror, mirror_lines(mirror, context.now_ms))
        return exits.CONFLICT
    counts = ", ".join(f"{mirror[name]:,} {name}" for name in ("created", "updated", "deleted"))
    writes = "it would be written anew" if mirror["writes"] else "it would stay as it is"
    said = f"{neutralise(_path(mirror))}: {counts}; {writes}"
    answer(context, mirror, [said, *_left_alone_lines(mirror), *_problem_lines(mirror)])
    return exits.OK


def _resume_arguments(parser: ArgumentParser) -> None:
    _file_argument(parser)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument(
        "--accept", action="store_true", help="the file is right; issues whose lines are gone are deleted"
    )
    choice.add_argument("--discard", action="store_true", help="what is here is right; the file is written anew")


def _resume(context: Context) -> int:
    accept = context.arguments.accept
    chosen = _chosen(context, f"resume {'--accept' if accept else '--discard'}")
    mirror = context.api.call(MirrorResume(folder=chosen["folder"], file=chosen["file"], accept=accept))
    if is_trial(context):
        return _foretold(context, mirror)
    done = "what the file says is taken in" if accept else "the file is written anew"
    return _answer(context, mirror, confirmed(context, f"{neutralise(_path(mirror))}: {done}"))


COMMANDS: Final = (
    Command(
        "mirror",
        "The files that follow this project; and how git merges them by field",
        _status_arguments,
        _status,
        examples=("moot mirror", *DRIVER),
    ),
    Command(
        "mirror status",
        "How the files stand that follow this project",
        _status_arguments,
        _status,
        examples=("moot mirror status",),
    ),
    Command(
        "mirror on",
        "Import a Beads file and keep it in step from now on",
        _on_arguments,
        _on,
        examples=("moot mirror on", *DRIVER),
    ),
    Command("mirror off", "Leave a file alone from now on", _file_argument, _off, examples=("moot mirror off",)),
    Command(
        "mirror sync",
        "Take in and write back now, without waiting for quiet",
        _sync_arguments,
        _sync,
        examples=("moot mirror sync", "moot mirror sync --full"),
    ),
    Command(
        "mirror resume",
        "Answer what a mirror asks about a mass change",
        _resume_arguments,
        _resume,
        examples=("moot mirror resume --discard",),
    ),
)
