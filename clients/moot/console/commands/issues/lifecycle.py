"""The life of an issue: close, reopen, delete, undelete, defer, undefer, and settling its conflicts.

Several ids go together or not at all. Deleting asks nothing, since undelete brings everything back.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from moot.console import documents
from moot.console.arguments.claiming import check_whose, claim_first
from moot.console.command import Command, Context
from moot.console.commands.issues.conflicts import field_text, tell
from moot.console.commands.issues.write import Labelled
from moot.console.commands.knowledge.docs import resolve_document
from moot.console.context import answer, carry_out, need_project, note, read_text
from moot.console.lines.confirm import confirmed, finished_lines, is_unchanged, naming, nothing_to_do, unchanged_among
from moot.console.molecules.advancing import advance, advanced_lines
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot_protocol.documents.document import DOCUMENT
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.issue import CLOSED
from moot_protocol.issues.picks import MARK
from moot_protocol.merge.deletion import DELETED, is_deletion
from moot_protocol.requests.actions import EpicStatus
from moot_protocol.requests.issues import Children, Close, Delete, IssueFields, Reopen, Resolve, Show, Undelete, Update
from moot_protocol.requests.listing import Filter, IssueDoc

DEFAULT_REASON: Final = "Closed"
EPIC: Final = "epic"
"""The type of which it is told when open children are left behind."""
_NUMBERS: Final = frozenset({"priority", "estimated_minutes"})
"""Fields whose values are numbers."""


def _ids_argument(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues: all of them or none")


def _ids(context: Context) -> list[str]:
    return list(dict.fromkeys(context.arguments.ids))


# -- close -------------------------------------------------------------------------------------------------------
def _close_arguments(parser: ArgumentParser) -> None:
    _ids_argument(parser)
    add = parser.add_argument
    add("-r", "--reason", action="append", metavar="TEXT", help="why; once for all, or once for each id")
    add("--reason-file", metavar="FILE", help="read the reason from a file; - is stdin")
    add("-f", "--force", action="store_true", help="close although something open blocks it")
    add("--session", metavar="ID", help="the agent's session that closes it")
    add("--suggest-next", action="store_true", help="with --json: what became ready beside what was closed")
    add("--claim-next", action="store_true", help="then take the most urgent issue that is ready")
    add("--continue", dest="go_on", action="store_true", help="then begin the molecule's next step that is ready")
    add("--no-auto", action="store_true", help="with --continue: only say which step is next")
    add("--dry-run", action="store_true", help="check everything, write nothing")


def close_mutations(context: Context, reasons: Sequence[str]) -> list[Labelled]:
    """What `close` wants: one closing for each id, with the reasons in order (one stands for all)."""
    given = context.arguments
    session = given.session or context.terminal.facts.environment.get("CLAUDE_SESSION_ID", "")
    ids: list[str] = given.ids
    each = reasons if len(reasons) == len(ids) else [*reasons, DEFAULT_REASON][:1] * len(ids)
    return [
        (
            issue,
            Close(actor=context.actor, dry_run=given.dry_run, id=issue, reason=why, session=session, force=given.force),
        )
        for issue, why in dict(zip(ids, each, strict=True)).items()
    ]


def close_reasons(context: Context) -> list[str]:
    """The reasons that a command line gives.

    Raises:
        RefusedError: there are several, but not one for each id.
    """
    from_file = context.arguments.reason_file
    reasons: list[str] = context.arguments.reason or []
    if from_file is not None:
        if reasons:
            raise RefusedError("--reason and --reason-file both give the reason", code=Code.USAGE, hint="give one")
        return [read_text(context, from_file).strip()]
    if len(reasons) > 1 and len(reasons) != len(context.arguments.ids):
        raise RefusedError(
            f"{len(reasons)} reasons for {len(context.arguments.ids)} issues",
            code=Code.USAGE,
            hint="give one reason for all, or one for each",
        )
    return reasons


def _close(context: Context) -> int:
    given = context.arguments
    if given.go_on and (len(set(given.ids)) > 1 or given.claim_next or given.suggest_next):
        raise RefusedError("--continue only works when closing a single issue", code=Code.USAGE)
    if given.claim_next:
        otherwise = "or close without --claim-next, then `moot ready --claim` with --project or --plane"
        check_whose(context, otherwise)  # before anything is closed
    closed = carry_out(context, close_mutations(context, close_reasons(context)))
    document, told = _followed_up(context, closed)
    answer(context, document, [*_closed_lines(context, closed), *told])
    for issue in closed:
        if issue.get("issue_type") == EPIC and not is_unchanged(issue):
            _note_open_children(context, issue)
    return 0


def _note_open_children(context: Context, epic: IssueDoc) -> None:
    """Say what may have been overlooked, where that is to be known: what was closed stays closed."""
    try:
        left = _open_children(context, epic["id"])
    except MootError:
        return
    if left:
        note(context, f"{naming(epic)}: {left:,} of its children {'is' if left == 1 else 'are'} still open")


def _open_children(context: Context, epic: str) -> int:
    """How many they are: counted by the daemon, else among those that may be seen here."""
    try:
        (counted,) = context.api.call(EpicStatus(ids=(epic,)))
    except MootError:
        return sum(child["status"] != CLOSED for child in context.api.call(Children(id=epic)).issues)
    return int(counted["total_children"]) - int(counted["closed_children"])


def _followed_up(context: Context, closed: Sequence[IssueDoc]) -> tuple[Any, list[str]]:
    """What is done after closing, as the flags ask: the document of all of it, and the lines of what followed."""
    given = context.arguments
    issues = list(map(documents.changed, closed))
    if given.go_on and not given.dry_run:
        advanced = advance(context, closed[0], claim=not given.no_auto)
        if advanced is not None:
            return {"closed": issues, "continue": advanced}, list(advanced_lines(context, advanced))
    claimed = _claim_next(context) if given.claim_next and not given.dry_run else None
    document: dict[str, Any] = {"closed": issues}
    document |= {"unblocked": _unblocked(closed)} if given.suggest_next else {}
    document |= {"claimed": documents.changed(claimed) if claimed else None} if given.claim_next else {}
    return (document if len(document) > 1 else issues), list(_claimed_lines(context, claimed))


def _claim_next(context: Context) -> IssueDoc | None:
    """The most urgent issue that is ready and that nobody else holds, claimed."""
    return claim_first(context, Filter(projects=(need_project(context),)))


def _claimed_lines(context: Context, claimed: IssueDoc | None) -> Iterator[str]:
    if claimed:
        yield confirmed(context, f"Claimed {naming(claimed)}")
    elif context.arguments.claim_next and not context.arguments.dry_run:
        yield "  Nothing is ready to be claimed"


def _unblocked(closed: Sequence[IssueDoc]) -> list[str]:
    return list(dict.fromkeys(ready for issue in closed for ready in issue.get("_unblocked", ())))


def _closed_lines(context: Context, closed: Sequence[IssueDoc]) -> Iterator[str]:
    done = "Would close" if context.arguments.dry_run else "Closed"
    for issue in closed:
        reason = neutralise(str(issue.get("close_reason") or DEFAULT_REASON))
        if is_unchanged(issue):
            yield nothing_to_do(f"{naming(issue)} is closed already; its reason stays as it was: {reason}")
        else:
            yield confirmed(context, f"{done} {naming(issue)}: {reason}")
    yield from finished_lines(context, closed)
    unblocked = _unblocked(closed)
    if unblocked:
        yield f"  Newly unblocked: {neutralise(', '.join(unblocked))}"


# -- reopen, delete, undelete ------------------------------------------------------------------------------------
def _reasoned_arguments(parser: ArgumentParser) -> None:
    _ids_argument(parser)
    parser.add_argument("-r", "--reason", default="", metavar="TEXT", help="why")


def _reopen(context: Context) -> int:
    reason = context.arguments.reason
    opened = carry_out(
        context,
        [(issue, Reopen(actor=context.actor, id=issue, reason=reason)) for issue in _ids(context)],
    )
    why = f": {neutralise(reason)}" if reason else ""
    told = (
        nothing_to_do(f"{naming(issue)} isn't closed") if is_unchanged(issue) else f"↻ Reopened {naming(issue)}{why}"
        for issue in opened
    )
    answer(context, list(map(documents.changed, opened)), told)
    return 0


def _delete_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="the issues: all of them or none")
    parser.add_argument("-r", "--reason", default="", metavar="TEXT", help="why")
    parser.add_argument("--from-file", metavar="FILE", help="more ids, one a line; - is stdin")
    parser.add_argument("-f", "--force", action="store_true", help="called as bd: delete them, rather than show which")
    parser.add_argument("--cascade", action="store_true", help="and all that depend on them, children too")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _delete(context: Context) -> int:
    given = context.arguments
    asked = _ids_to_delete(context)
    counts: dict[str, int] = {}
    if given.cascade or context.terminal.facts.is_bd:
        asked, counts = _with_what_hangs_on(context, asked)
    shows_only = context.terminal.facts.is_bd and not (given.force or given.dry_run)
    dry_run = given.dry_run or shows_only
    deleted: list[IssueDoc] = carry_out(
        context,
        [(each, Delete(actor=context.actor, dry_run=dry_run, id=each, reason=given.reason)) for each in asked],
    )
    ids = [str(issue["id"]) for issue in deleted]
    if shows_only or (dry_run and counts):
        document = _preview(context, ids, counts)
    else:
        document = _told_as_deleted(context, ids) | counts
    document |= unchanged_among(deleted)
    answer(context, document, _deleted_lines(context, deleted, dry_run=dry_run, shows_only=shows_only))
    return 0


def _told_as_deleted(context: Context, ids: list[str]) -> dict[str, Any]:
    """What was deleted, as `bd` tells it; else the ids and their number beside that, for one as for several."""
    document: dict[str, Any] = {"deleted": ids[0] if len(ids) == 1 else ids}
    is_bd = context.terminal.facts.is_bd
    if len(ids) > 1 or not is_bd:
        document["deleted_count"] = len(ids)
    return document if is_bd else document | {"issue_ids": ids}


def _with_what_hangs_on(context: Context, asked: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """The ids to be deleted, with `--cascade` those of all that depends on them, and how many edges go with them."""
    wanted, pending = list(asked), list(asked)
    seen: set[str] = set()
    edges: set[tuple[str, str, str]] = set()
    while pending:
        issues = context.api.call(Show(ids=tuple(pending)))
        seen.update(str(issue["id"]) for issue in issues)
        edges.update(edge for issue in issues for edge in _edges_of(issue))
        dependents = dict.fromkeys(str(each["id"]) for issue in issues for each in issue.get("dependents", ()))
        pending = [each for each in dependents if context.arguments.cascade and each not in seen]
        wanted += pending
    return wanted, {"dependencies_removed": len(edges), "references_updated": 0}


def _edges_of(issue: IssueDoc) -> Iterator[tuple[str, str, str]]:
    """(issue, what it depends on, type) of each edge that an issue stands at either end of."""
    for edge in issue.get("dependencies", ()):
        yield issue["id"], edge["depends_on_id"], edge.get("type", "")
    for other in issue.get("dependents", ()):
        yield other["id"], issue["id"], other.get("dependency_type", "")


def _preview(context: Context, ids: list[str], counts: dict[str, int]) -> dict[str, Any]:
    """What would be deleted, as `bd delete` has it without --force."""
    given = context.arguments
    told = {"preview": True, "dry_run": given.dry_run, "issue_ids": ids, "cascade": given.cascade}
    return told | {"would_delete": len(ids), "would_remove_dependencies": counts["dependencies_removed"]}


def _ids_to_delete(context: Context) -> list[str]:
    file = context.arguments.from_file
    lines = [] if file is None else [line.strip() for line in read_text(context, file).splitlines()]
    ids = list(dict.fromkeys([*context.arguments.ids, *(line for line in lines if line and not line.startswith("#"))]))
    if not ids:
        raise RefusedError("delete which issues?", code=Code.USAGE, hint="give ids, or --from-file FILE")
    return ids


def _deleted_lines(context: Context, deleted: Sequence[IssueDoc], *, dry_run: bool, shows_only: bool) -> Iterator[str]:
    yield from (nothing_to_do(f"{naming(issue)} is deleted already") for issue in deleted if is_unchanged(issue))
    gone = [issue for issue in deleted if not is_unchanged(issue)]
    ids = " ".join(neutralise(str(issue["id"])) for issue in gone)
    if dry_run:
        yield from (f"Would delete {naming(issue)}" for issue in gone)
        if shows_only and gone:
            yield f"  To proceed, run: bd delete {ids} --force"
        return
    yield from (confirmed(context, f"Deleted {naming(issue)}") for issue in gone)
    if gone:
        yield f"  Nothing is lost: `moot undelete {ids}` brings it back"


def _undelete(context: Context) -> int:
    back = carry_out(context, [(issue, Undelete(actor=context.actor, id=issue)) for issue in _ids(context)])
    told = (
        nothing_to_do(f"{naming(issue)} isn't deleted")
        if is_unchanged(issue)
        else confirmed(context, f"Undeleted {naming(issue)}")
        for issue in back
    )
    answer(context, list(map(documents.changed, back)), told)
    return 0


# -- defer, undefer ----------------------------------------------------------------------------------------------
def _defer_arguments(parser: ArgumentParser) -> None:
    _ids_argument(parser)
    parser.add_argument("--until", metavar="TIME", help=f"when it comes back: {when.HELP}")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; goes into its notes")


def _defer(context: Context) -> int:
    fields, until = IssueFields(status="deferred", defer_until=""), ""
    if context.arguments.until:
        moment = when.parse_due(context.arguments.until, context.now_ms)
        fields.defer_until = when.rfc3339(moment)
        until = f" until {when.short_date(moment)}"
        if moment <= context.now_ms:
            note(context, "Warning: --until names a time that is past. Did you mean +1d or tomorrow?")
    deferred = _update_all(context, fields, notes=context.arguments.reason)
    told = (
        nothing_to_do(f"{naming(issue)} is deferred{until} already")
        if is_unchanged(issue)
        else f"* Deferred {naming(issue)}{until}"
        for issue in deferred
    )
    answer(context, list(map(documents.changed, deferred)), told)
    return 0


def _undefer(context: Context) -> int:
    opened = _update_all(context, IssueFields(status="open", defer_until=""))
    told = (
        nothing_to_do(f"{naming(issue)} isn't deferred")
        if is_unchanged(issue)
        else f"* Undeferred {naming(issue)} (now open)"
        for issue in opened
    )
    answer(context, list(map(documents.changed, opened)), told)
    return 0


def _update_all(context: Context, fields: IssueFields, notes: str = "") -> list[IssueDoc]:
    """Change all issues or none; a closed one isn't touched, except under the name `bd`, which makes no difference."""
    unless_closed = not context.terminal.facts.is_bd
    change = Update(actor=context.actor, id="", fields=fields, append_notes=notes, unless_closed=unless_closed)
    return carry_out(context, [(issue, replace(change, id=issue)) for issue in _ids(context)])


# -- resolve -----------------------------------------------------------------------------------------------------
def _resolve_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue, or a document's KIND/NAME")
    parser.add_argument(
        "field",
        nargs="?",
        default="",
        metavar="FIELD",
        help="the field in conflict, as `moot conflicts` names it",
    )
    parser.add_argument("--plane", default="", help="of a document: its plane")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--pick", type=_pick, metavar="N", help="the N-th of the values that `moot conflicts` lists, or its name there"
    )
    choice.add_argument("--value", metavar="TEXT", help="a value of its own; - reads stdin; empty clears the field")


def _pick(text: str) -> int | str:
    """A value's number or name, as `--pick` takes it. Raises ArgumentTypeError: it is neither."""
    if text.lower().startswith(MARK):
        return text.lower()
    if not text.lstrip("-").isdecimal():
        raise ArgumentTypeError(f"{text!r} is no number and no name as `moot conflicts` shows them")
    return int(text)


def _resolve(context: Context) -> int:
    given = context.arguments
    if isinstance(given.pick, int) and given.pick < 1:
        raise RefusedError("--pick counts from 1", code=Code.USAGE, hint="`moot conflicts` numbers the values")
    if given.pick is None and given.value is None:  # what there is to choose from
        return tell(context, given.id, "" if given.field == DOCUMENT else given.field)
    if not given.field:
        raise RefusedError("which field?", code=Code.USAGE, hint=f"`moot conflicts {given.id}` names those in conflict")
    if given.field == DOCUMENT:
        return resolve_document(context, None if given.value is None else str(_value(context)))
    settled = context.api.call(
        Resolve(
            actor=context.actor,
            id=given.id,
            field=given.field,
            pick=given.pick,
            value=None if given.value is None else _value(context),
        )
    )
    if context.json:
        documents.write(context, settled)
        return 0
    told = f"Resolved {neutralise(given.field)} of {naming(settled)}{_taken(settled)}"
    answer(context, settled, [confirmed(context, told)])
    return 0


def _taken(settled: IssueDoc) -> str:
    """Which value was taken; nothing where the answer, being one that is only expected, doesn't say."""
    resolved = settled.get("_resolved")
    if resolved is None:
        return ""
    field, value = resolved["field"], resolved["value"]
    if field == DELETED:
        return ": deleted" if is_deletion(value) else ": kept"
    return f": {field_text(field, value)}"


def _value(context: Context) -> str | int:
    text: str = read_text(context, "-") if context.arguments.value == "-" else context.arguments.value
    if context.arguments.field not in _NUMBERS:
        return text
    digits = text.strip().upper().removeprefix("P")
    if not (digits.isascii() and digits.isdigit()):
        raise RefusedError(f"{context.arguments.field} is a number", code=Code.USAGE)
    return int(digits)


CLOSE = Command(
    "close",
    "Close issues; tells what that unblocked",
    _close_arguments,
    _close,
    aliases=("done",),
    examples=('moot close bd-a1b2 -r "Fixed in 1.4"', "moot close bd-a1b2 bd-c3d4 --json"),
)
COMMANDS: Final = (
    CLOSE,
    Command("reopen", "Open closed issues again", _reasoned_arguments, _reopen, examples=("moot reopen bd-a1b2",)),
    Command(
        "delete",
        "Delete issues; undelete brings them back",
        _delete_arguments,
        _delete,
        examples=("moot delete bd-a1b2 -r duplicate",),
    ),
    Command("undelete", "Bring deleted issues back", _ids_argument, _undelete, examples=("moot undelete bd-a1b2",)),
    Command(
        "defer",
        "Put issues aside",
        _defer_arguments,
        _defer,
        examples=("moot defer bd-a1b2 --until tomorrow", 'moot defer bd-a1b2 --until "next monday"'),
    ),
    Command("undefer", "Take deferred issues up again", _ids_argument, _undefer, examples=("moot undefer bd-a1b2",)),
    Command(
        "resolve",
        "Settle a conflict between values of a field",
        _resolve_arguments,
        _resolve,
        examples=(
            "moot resolve bd-a1b2",
            "moot resolve bd-a1b2 status --pick 1",
            "moot resolve bd-a1b2 status --pick v3fd01c9e",
            'moot resolve bd-a1b2 title --value "Both"',
            "moot resolve role/reviewer document --pick 2",
        ),
    ),
)
