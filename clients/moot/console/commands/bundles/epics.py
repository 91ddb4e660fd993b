"""Commands about epics: epic status, epic close-eligible."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, finished_among, finished_lines, naming
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.requests.actions import EpicStatus
from moot_protocol.requests.issues import Close

REASON: Final = "All children completed"


def _epics(context: Context, *, eligible_only: bool) -> list[dict[str, Any]]:
    found = context.api.call(EpicStatus(projects=filters.projects_of(context), plane=context.arguments.plane))
    return [each for each in found if each["eligible_for_close"] or not eligible_only]


def _status_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--eligible-only", action="store_true", help="only those whose children are all closed")
    filters.add_place(parser)


def _status(context: Context) -> int:
    epics = _epics(context, eligible_only=context.arguments.eligible_only)
    answer(context, epics, _status_lines(context, epics))
    return exits.OK


def _status_lines(context: Context, epics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    style = style_of(context.terminal.facts)
    if not epics:
        yield "No open epics found"
    for each in epics:
        closed, total = each["closed_children"], each["total_children"]
        yield lines.node_line(style, "", each["epic"])
        percent = 100 * closed // total if total else 0
        eligible = ", eligible for closure" if each["eligible_for_close"] else ""
        yield f"  Progress: {closed}/{total} children closed ({percent}%){eligible}"


def _close_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-r", "--reason", default=REASON, metavar="TEXT", help=f"why (default: {REASON})")
    add_dry_run(parser)
    filters.add_place(parser)


def _close(context: Context) -> int:
    given = context.arguments
    reason = given.reason.strip() or REASON
    epics = _epics(context, eligible_only=True)
    ids = [each["epic"]["id"] for each in epics]
    closing = [[(issue, Close(actor=context.actor, dry_run=given.dry_run, id=issue, reason=reason))] for issue in ids]
    closed = [each for steps in batched(closing) for each in carry_out(context, steps)]
    document: Any = epics
    if epics and not given.dry_run:
        document = {"closed": ids, "count": len(ids), "reason": reason} | finished_among(closed)
    answer(context, document, [*_close_lines(context, epics, reason), *finished_lines(context, closed)])
    return exits.OK


def _close_lines(context: Context, epics: Sequence[Mapping[str, Any]], reason: str) -> Iterator[str]:
    if not epics:
        yield "No epics eligible for closure"
        return
    told = f"{several(len(epics), 'epic')} with reason {neutralise(reason)!r}"
    yield f"Would close {told}" if context.arguments.dry_run else confirmed(context, f"Closed {told}")
    yield from (f"  {naming(each['epic'])}" for each in epics)


COMMANDS: Final = (
    Command(
        "epic status",
        "Epics not closed, and how many of their children are",
        _status_arguments,
        _status,
        examples=("moot epic status", "moot epic status --eligible-only --json"),
    ),
    Command(
        "epic close-eligible",
        "Close the epics whose children are all closed",
        _close_arguments,
        _close,
        examples=("moot epic close-eligible --dry-run",),
    ),
)
"""The commands of this module."""
