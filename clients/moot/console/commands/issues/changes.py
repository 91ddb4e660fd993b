"""Commands about changes: diff tells what changed between two times, undo takes a write of one's own back."""

import shlex
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.commands.issues.conflicts import deletion_text, field_text
from moot.console.commands.issues.history import event_meant
from moot.console.context import answer, note, tell_place
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, is_unchanged, nothing_to_do
from moot.console.text import when
from moot.console.text.style import style_of
from moot.console.text.table import cut
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import shown_value
from moot_protocol.merge.deletion import DELETED
from moot_protocol.requests.actions import Diff, Undo

VALUE_WIDTH: Final = 60
"""Cells of one value in a line; `--json` has all of it."""
_MARKS: Final = {"added": "+", "removed": "-", "modified": "~"}


def change_line(change: Mapping[str, Any]) -> str:
    """A field with its value before and after, safe to print."""
    then, now = (_side(change, side) for side in ("from", "to"))
    return f"{lines.text_of(change, 'field')}: {then} → {now}"


def _side(change: Mapping[str, Any], side: str) -> str:
    return "(erased)" if side in change.get("erased", ()) else _shown(change.get("field"), change.get(side))


def _shown(field: Any, value: Any) -> str:
    """A value as `show` tells of it, whatever a file has put there."""
    if isinstance(value, bool):
        return field_text(field, value)
    if field == DELETED:
        return cut(deletion_text(value), VALUE_WIDTH)
    shown = shown_value(str(field), value)
    return "(none)" if shown in (None, "", [], {}) else cut(field_text(field, shown), VALUE_WIDTH)


# -- diff --------------------------------------------------------------------------------------------------------
def _diff_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("refs", nargs="*", metavar="ID | TIME TIME", help="an issue, or two times; else all issues")
    parser.add_argument("--from", dest="before", default="", metavar="TIME", help=f"else the beginning: {when.HELP}")
    parser.add_argument("--to", dest="after", default="", metavar="TIME", help="else now")
    filters.add_place(parser)


def _diff(context: Context) -> int:
    given = context.arguments
    refs: list[str] = given.refs
    before, after = given.before, given.after
    ids: tuple[str, ...] = ()
    if len(refs) == 2 and not (before or after):
        before, after = refs
    elif len(refs) <= 1:
        ids = tuple(refs)
    else:
        raise RefusedError("give one issue, or two times", code=Code.USAGE, hint='`moot diff "1d ago" now`')
    wanted = Diff(
        before=when.parse(before, context.now_ms) if before else -1,
        after=when.parse(after, context.now_ms) if after else context.now_ms,
        ids=ids,
        projects=() if ids else filters.projects_of(context),
        plane=given.plane,
    )
    try:
        found = context.api.call(wanted)
    except RefusedError as error:
        if error.code is Code.NOT_FOUND and ids:
            error.hint = _hint_at_time(ids[0], context.now_ms) or error.hint
        raise
    answer(context, found, _diff_lines(context, found))
    tell_place(context, ids)
    if not found and not context.json:
        note(context, "nothing changed")
    return exits.OK


def _hint_at_time(typed: str, now_ms: int) -> str:
    """How to ask for changes since a time that was taken for an issue; empty of what looks like none."""
    for time in (typed, f"{typed} ago"):
        if _is_time(time, now_ms):
            written = "" if time == typed else f'the time is written "{time}": '
            return f"{written}`moot diff --from {shlex.quote(time)}` tells what has changed since"
    return ""


def _is_time(text: str, now_ms: int) -> bool:
    try:
        when.parse(text, now_ms)
    except RefusedError:
        return False
    return True


def _diff_lines(context: Context, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    style = style_of(context.terminal.facts)
    for each in found:
        shown = each["new_value"] or each["old_value"] or {"id": each["issue_id"]}
        yield lines.node_line(style, f"{_MARKS.get(each['diff_type'], ' ')} ", shown)
        yield from (f"    {change_line(change)}" for change in each["changes"])


# -- undo --------------------------------------------------------------------------------------------------------
def _undo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        default="",
        metavar="EVENT | ID",
        help="an event's number, the n= of `moot history` (no arrival number of `moot events`), counted on the plane "
        "of this folder's project; or an issue",
    )
    parser.add_argument("--last", action="store_true", help="your last write, whatever it was about (the default)")
    add_dry_run(parser)
    parser.add_argument(
        "--plane", default="", help="the plane that an event's number is of; else that of the folder's project"
    )


def _undo(context: Context) -> int:
    given = context.arguments
    if given.what and given.last:
        raise RefusedError("--last and an event or issue exclude one another", code=Code.USAGE)
    n, author = event_meant(given.what) or (None, "")
    done = context.api.call(
        Undo(
            actor=context.actor,
            dry_run=given.dry_run,
            id=given.what if n is None else "",
            n=n,
            author=author,
            plane=given.plane or (context.plane if n is not None else ""),
        )
    )
    done["issues"] = list(map(documents.changed, done["issues"]))
    answer(context, done, _undo_lines(context, done))
    looked_for = "ids were" if given.what and n is None else "the last write was" if n is None else "the event was"
    tell_place(context, [str(issue["id"]) for issue in done["issues"]], what=looked_for)
    return exits.OK


def _undo_lines(context: Context, done: Mapping[str, Any]) -> Iterator[str]:
    undone = done["undone"]
    first, last = undone["n"]
    events = f"event {first}" if first == last else f"events {first} to {last}"
    what = f"what {lines.text_of(undone, 'actor')} wrote {_age(context, undone)} ({events})"
    if is_unchanged(done):
        yield nothing_to_do(f"nothing is to be put back of {what}")
        yield "  `moot undo N` undoes an older write: the n= of `moot history ID`"
        return
    yield confirmed(context, f"{'Would undo' if context.arguments.dry_run else 'Undid'} {what}")
    for change in done["changes"]:
        yield f"  {lines.text_of(change, 'id')} {_undone_line(change)}"


def _undone_line(change: Mapping[str, Any]) -> str:
    """As `change_line`, and what it does to a conflict."""
    values = change.get("conflict")
    if values is None:
        return change_line(change)
    if not values:
        return f"{change_line(change)}, in conflict no more"
    disagreeing = " | ".join(_shown(change.get("field"), value) for value in values)
    return f"{lines.text_of(change, 'field')}: in conflict again: {disagreeing}"


def _age(context: Context, undone: Mapping[str, Any]) -> str:
    return when.age(int(undone["at"]), context.now_ms)


COMMANDS: Final = (
    Command(
        "diff",
        "What changed between two times, of an issue or of all",
        _diff_arguments,
        _diff,
        examples=(
            'moot diff "1d ago" now',
            'moot diff bd-a1b2 --from yesterday --to "2h ago"',
            "moot diff --from 2026-01-31",
        ),
    ),
    Command(
        "undo",
        "Undo your last write, or one that is named, where nobody has written since",
        _undo_arguments,
        _undo,
        examples=("moot undo --dry-run", "moot undo bd-a1b2", "moot undo n=1234"),
    ),
)
"""The commands of this module."""
