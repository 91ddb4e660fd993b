"""What commands share: who acts, which project they are about, mutations carried out together, texts, confirmations.

A command writes confirmations with `say`, which keeps quiet where JSON or nothing is wanted, so that standard output
holds one document with `--json` and nothing else.
"""

import posixpath
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from moot.console import as_bd, documents
from moot.console.api import Api
from moot.console.command import Context
from moot.console.lines import issues as issue_lines
from moot.console.terminal import Facts
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.facts import ACTORS
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.ids import line_problem
from moot_protocol.issues.settings import KV
from moot_protocol.limits import ACTOR_BYTES, MIB
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.exchange import Planes
from moot_protocol.requests.issues import Count, Script, WorkspaceInfo
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.mirrors import WorkspaceMoved
from moot_protocol.spool.project_folder import WORKSPACE_FILE

R = TypeVar("R")

TEXT_READ_BYTES: Final = 1 * MIB
"""Bytes read of a text from a file or standard input: far above what a field holds, so that the daemon judges it."""
_PRIVATE_MODE: Final = 0o600
_SPOOL_TOKEN: Final = ".moot/spool/token"  # noqa: S105 - a file's name
"""In a project's folder where commands may come through files."""


class ReadOnlyApi:
    """An Api that refuses what would change the log."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def call(self, request: Request[R]) -> R:
        """Pass a request on if it only reads.

        Raises:
            RefusedError: `denied` for a request that writes.
        """
        if type(request).writes:
            raise RefusedError("--readonly was given and this command writes", code=Code.DENIED)
        return self._api.call(request)


def actor_of(arguments: Namespace, facts: Facts) -> str:
    """Who acts: --actor, MOOT_ACTOR, BD_ACTOR, BEADS_ACTOR, git's user.name, the user's name, in this order."""
    named = (facts.environment.get(name, "") for name in ACTORS)
    candidates = (arguments.actor or "", *named, facts.git_user, facts.environment.get("USER", ""))
    return next((name.strip() for name in candidates if name.strip()), "unknown")


def check_actor(actor: str) -> None:
    """Check a name that goes into every event.

    Raises:
        RefusedError: `usage`: it is too long, or no line.
    """
    size = len(actor.encode(errors="replace"))
    problem = line_problem(actor)
    if size <= ACTOR_BYTES and not problem:
        return
    what = problem or f"{size:,} bytes, and at most {ACTOR_BYTES} fit"
    raise RefusedError(
        f"the name of who acts has {what}", code=Code.USAGE, hint="--actor NAME gives another, and so does MOOT_ACTOR"
    )


class Place(NamedTuple):
    """Where a command acts; all empty where the client's folder lies in no workspace."""

    project: str = ""
    plane: str = ""
    claims: Mapping[str, Any] = {}
    """What of the actor's claims wants attention, as `WorkspaceInfo` answers it."""
    nudges: Sequence[Mapping[str, Any]] = ()
    """What the actor is to be told once, as `WorkspaceInfo` answers it."""


def place_of(api: Api, facts: Facts, actor: str) -> Place:
    """The workspace that the client's folder lies in."""
    known = api.call(WorkspaceInfo(workspace=facts.workspace, actor=actor)) if facts.workspace else None
    if not known:
        return Place()
    more = known.get("claims", {}), known.get("nudges", ())
    return Place(str(known["project"]), str(known.get("plane", "")), *more)


def need_project(context: Context) -> str:
    """The workspace's project.

    Raises:
        RefusedError: the folder belongs to none.
    """
    if context.project:
        return context.project
    raise _no_project(context)


def check_place(context: Context) -> None:
    """Refuse, called as `bd`, what is about issues where there is no project and none is named: as `bd` does.

    Raises:
        RefusedError: `not_found`.
    """
    facts = context.terminal.facts
    leads_nowhere = not facts.workspace and bool(_named_by_variable(facts))
    if not (context.project or _names_place(context.arguments)) and (facts.is_bd or leads_nowhere):
        raise _no_project(context)


def tell_place(context: Context, ids: Iterable[str] | None = None, *, what: str = "ids were") -> None:
    """Tell who named issues outside of any project that theirs were looked for among all of them.

    Args:
        context: the command's.
        ids: the issues; those that the arguments name if None.
        what: was looked for.
    """
    given = context.arguments
    if ids is None:
        named = getattr(given, "id", None) or getattr(given, "ids", None) or ()
        ids = (named,) if isinstance(named, str) else named
    meant = tuple(dict.fromkeys(ids))
    is_told = getattr(given, "was_told", False) or _names_place(given)
    if meant and not (is_told or given.quiet or context.project or context.terminal.facts.is_bd):
        given.was_told = True
        projects = ", ".join(map(neutralise, count_by_project(context, meant)))
        of = f": of {projects}" if projects else ""
        note(context, f"This folder is no project: {what} looked for in all projects of the town{of}")


def _names_place(arguments: Namespace) -> bool:
    """Whether a command was told where to look."""
    return bool(getattr(arguments, "project", None) or getattr(arguments, "plane", None))


def count_by_project(context: Context, ids: Sequence[str]) -> dict[str, int]:
    """Of each project how many of some issues; nothing where that can't be told, as of what has been deleted."""
    try:
        counted = context.api.call(Count(filter=Filter(ids=tuple(ids)), by="project"))
    except MootError:
        return {}
    return {str(group["group"]): group["count"] for group in counted["groups"]}


def known_projects(context: Context, plane: str = "") -> list[str]:
    """The projects of this machine, on the plane that is meant; none where nothing may be known of planes."""
    try:
        planes = context.api.call(Planes())
    except MootError:
        return []
    found = (each for each in planes if plane == each["name"] or str(each["plane"]).startswith(plane))
    return sorted({str(name) for each in found for name in each["projects"]})


def workspace_folder(context: Context) -> str:
    """The folder of the workspace that a command is about, as the client finds it, else as the daemon knows it.

    Where the daemon knows it under a folder that is gone, it learns the new one, and the user is told so.
    """
    facts = context.terminal.facts
    known = str((context.api.call(WorkspaceInfo(workspace=facts.workspace)) or {}).get("folder", ""))
    found = folder_around(context)
    if not known or not found or found == known or is_of_workspace(context, known):  # a copy leaves both
        return found or known
    if not (is_trial(context) or context.arguments.readonly):
        _note_move(context, found)
    return found


def _note_move(context: Context, folder: str) -> None:
    try:
        noted = context.api.call(WorkspaceMoved(workspace=context.terminal.facts.workspace, folder=folder))
    except RefusedError:
        return  # who may not is told where it is all the same
    if noted["moved"]:
        was = neutralise(noted["from"])
        note(context, f"this project lies in {neutralise(folder)} now; it was in {was}")
        if noted["spool"]:
            note(context, "its spool goes on here")
        for path in noted["mirrors"]:
            note(context, f"its mirror {neutralise(path)} is not followed here: `moot mirror on` lets it go on")


def folder_around(context: Context) -> str:
    """The nearest folder, upward, whose file names the workspace; empty where none does, as in a linked work tree."""
    folder = posixpath.normpath(context.terminal.facts.folder)
    while folder.rstrip("/"):
        if is_of_workspace(context, folder):
            return folder
        folder = posixpath.dirname(folder)
    return ""


def is_of_workspace(context: Context, folder: str) -> bool:
    """Whether a folder's file names the client's workspace, as far as the client can read it."""
    try:
        found = next(iter(context.terminal.read_file(f"{folder}/{WORKSPACE_FILE}", ordinary=True)), b"")
    except RefusedError as error:
        if error.code is Code.CANCELLED:
            raise
        return False
    return found.partition(b"\n")[0].strip() == context.terminal.facts.workspace.encode()


def own_projects(context: Context) -> tuple[str, ...]:
    """The workspace's project; none, which means all, outside of a workspace, which the user is told.

    Raises:
        RefusedError: `not_found`: this machine doesn't know the workspace, so that all would be others', or the
            caller named one; `bd` knows no other project at all.
    """
    if context.project:
        return (context.project,)
    facts = context.terminal.facts
    if facts.workspace or facts.is_bd or _named_by_variable(facts):
        raise _no_project(context)
    if not getattr(context.arguments, "plane", "") and not getattr(context.arguments, "was_told", False):
        context.arguments.was_told = True  # once a command, however often it asks
        style = style_of(facts, plain=getattr(context.arguments, "plain", False) or not facts.err_is_terminal)
        note(context, style.faint("This folder is no project: all projects of the town are meant"))
    return ()


def check_variables(context: Context) -> None:
    """Refuse to make a project where no later command would look for it.

    Raises:
        RefusedError: `not_found`.
    """
    if _named_by_variable(context.terminal.facts):
        raise _no_project(context)


def check_own_folder(context: Context) -> None:
    """Refuse to take this folder's files for those of a project that a variable names elsewhere.

    Raises:
        RefusedError: `conflict`.
    """
    facts = context.terminal.facts
    named = _named_by_variable(facts)
    if not (named and facts.workspace):
        return
    known = context.api.call(WorkspaceInfo(workspace=facts.workspace)) or {}
    root, folder = posixpath.normpath(str(known.get("folder", ""))), posixpath.normpath(facts.folder)
    if folder != root and not folder.startswith(f"{root.rstrip('/')}/"):
        raise RefusedError(
            f"{named} names the project in {neutralise(root)}, and this folder's files are not its",
            code=Code.CONFLICT,
            hint="go there, or unset the variable",
        )


def _named_by_variable(facts: Facts) -> str:
    """The variable of `bd`, with its value, that says where the project's files lie; empty where none does."""
    named = ((name, facts.environment.get(name, "")) for name in ("BEADS_DIR", "BEADS_DB"))
    return next((f"{name}={value}" for name, value in named if value), "")


def _no_project(context: Context) -> RefusedError:
    facts = context.terminal.facts
    missing = as_bd.NO_WORKSPACE if facts.is_bd else "no project here"
    belongs = "is of a workspace that this machine doesn't know" if facts.workspace else "is not inside a workspace"
    hint = "go to the project's folder, or run `moot init` there"
    if not facts.workspace and (named := _named_by_variable(facts)):
        return RefusedError(
            f"{missing}: {named} leads to no workspace",
            code=Code.NOT_FOUND,
            hint="`-C FOLDER` names another folder, and so does the folder itself where the variable isn't set",
        )
    if facts.workspace and _has_spool(context, folder_around(context)):
        hint = (
            "in a sandbox that hides the home folder set MOOT_SPOOL=1: the project has a spool; else `moot init` there"
        )
    return RefusedError(f"{missing}: {facts.folder} {belongs}", code=Code.NOT_FOUND, hint=hint)


def _has_spool(context: Context, folder: str) -> bool:
    """Whether a workspace's folder has a spool, as far as the client sees it."""
    try:
        context.terminal.file_mode(f"{folder}/{_SPOOL_TOKEN}")
    except RefusedError as error:
        if error.code is Code.CANCELLED:
            raise
        return False
    return True


def script_step(mutation: Mutation[Any], label: str) -> dict[str, Any]:
    """A mutation as a step of a script, named by `label` in errors."""
    params = msgspec.to_builtins(mutation)
    del params["actor"]
    params.pop("dry_run", None)
    return {"method": mutation.method, "params": params, "label": label}


def carry_out(context: Context, mutations: Sequence[tuple[str, Mutation[Any]]]) -> list[Any]:
    """Carry out mutations, all or nothing, and return their answers in order.

    Args:
        context: the command's.
        mutations: labels that name them in errors, and what to do; they agree on actor and dry_run.
    """
    if len(mutations) == 1:
        return [context.api.call(mutations[0][1])]
    first = mutations[0][1]
    steps = tuple(script_step(mutation, label) for label, mutation in mutations)
    return context.api.call(Script(actor=first.actor, dry_run=first.dry_run, steps=steps))


def is_trial(context: Context) -> bool:
    """Whether the command is only to say what it would do (`--dry-run`)."""
    return bool(getattr(context.arguments, "dry_run", False))


def say(context: Context, text: str) -> None:
    """Confirm something on standard output, unless JSON or nothing is wanted. The text is safe to print."""
    if not context.json and not context.arguments.quiet:
        context.terminal.out(f"{text}\n")


def note(context: Context, text: str) -> None:
    """Tell something on standard error, unless nothing is wanted. The text is safe to print."""
    if not context.arguments.quiet:
        context.terminal.err(f"{text}\n")


def note_origins(context: Context, settings: Iterable[Mapping[str, Any]]) -> None:
    """Tell on standard error which settings were written in other towns: values are printed as they are."""
    for each in settings:
        if written := issue_lines.replicas_of(each):
            note(context, f"({neutralise(str(each['key']).removeprefix(KV))}: written in {written})")


def answer(context: Context, document: Any, lines: Iterable[str]) -> None:
    """Answer with one document, or with lines that are safe to print."""
    if context.json:
        documents.write(context, document)
        return
    for line in lines:
        say(context, line)


def answer_list(context: Context, found: Any, rows: Callable[[Style], Sequence[str]], nothing: str) -> None:
    """Answer with a list: its document, or its rows, or where there is nothing in it that word on standard error.

    Args:
        context: the command's.
        found: the document; empty where there is nothing.
        rows: makes its lines, which are safe to print.
        nothing: what is said of an empty list, safe to print.
    """
    if context.json:
        documents.write(context, found)
    elif found:
        issue_lines.write_lines(context, rows(style_of(context.terminal.facts)))
    else:
        context.terminal.err(f"{nothing}\n")


def chunks_of(context: Context, path: str, *, ordinary: bool = False) -> Iterator[bytes]:
    """The chunks of a file, or of standard input for `-`; `ordinary`: only of an ordinary file, as nobody has named it.

    Raises:
        RefusedError: it can't be read.
    """
    return context.terminal.stdin() if path == "-" else context.terminal.read_file(path, ordinary=ordinary)


class NoTextError(RefusedError):
    """What was read is there, and is too long or no text."""


def read_text(context: Context, path: str, most: int = TEXT_READ_BYTES, *, ordinary: bool = False) -> str:
    """The text of a file, or of standard input for `-`; `ordinary` as of `chunks_of`.

    Raises:
        NoTextError: it has more than `most` bytes, or is not UTF-8.
        RefusedError: it can't be read.
    """
    data = bytearray()
    for chunk in chunks_of(context, path, ordinary=ordinary):
        data += chunk
        if len(data) > most:
            raise NoTextError(f"{_name(path)} holds more than {most} bytes", code=Code.LIMIT)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NoTextError(f"{_name(path)} is not UTF-8 text") from error


def write_private(context: Context, path: str, chunks: Iterable[bytes], *, parents: bool = True) -> None:
    """Write a file with what issues say: a new one for the user alone, and one that is there keeps its permissions.

    Raises:
        RefusedError: as `Terminal.write_file`.
    """
    try:
        mode = context.terminal.file_mode(path)
    except RefusedError as error:
        if error.code in {Code.CANCELLED, Code.BAD_VERSION}:
            raise
        mode = _PRIVATE_MODE
    context.terminal.write_file(path, chunks, mode=mode, parents=parents)


def text_given(context: Context) -> str:
    """The text of a command that takes it as words, of which `-` alone reads standard input, by --file or by --stdin.

    Raises:
        NoTextError, RefusedError: as `read_text`.
    """
    given = context.arguments
    if given.text and given.text != ["-"]:
        return " ".join(given.text)
    return read_text(context, given.file or "-")


def edited(context: Context, text: str, otherwise: str) -> str:
    """A text as the user's editor leaves it.

    Args:
        context: the command's.
        text: what to begin with.
        otherwise: how to pass the text where there is no terminal to edit in.

    Raises:
        RefusedError: there is no terminal, or the editor failed.
    """
    facts = context.terminal.facts
    try:
        return context.terminal.edit(text)
    except MootError as error:
        if facts.in_is_terminal and facts.out_is_terminal:
            raise
        raise RefusedError("there is no terminal to edit in", code=error.code, hint=otherwise) from error


def _name(path: str) -> str:
    return "standard input" if path == "-" else path
