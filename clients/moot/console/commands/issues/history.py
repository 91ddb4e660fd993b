"""The command that tells an issue's history: every event of it that is held here, newest first.

Called as `bd`, its document has the issue as a whole as it was after each change, as `bd` has it for each commit.
"""

import re
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments.filters import add_limit, checked_limit
from moot.console.command import Command, Context
from moot.console.commands.issues.conflicts import field_text
from moot.console.lines import issues as lines
from moot.console.lines.exchange import KEY_SHOWN
from moot.console.text import when
from moot.console.text.style import Style, style_of
from moot.console.text.table import cut
from moot_protocol.requests.issues import History, Show
from moot_protocol.times import format_ms

LIMIT: Final = 100
LAST_EVENT: Final = 2**63 - 1
"""The last number that an event can have; a longer row of digits can only be an issue's name."""
_EVENT: Final = re.compile(r"(?:n=)?(?P<number>[0-9]{1,19})(?:@(?P<key>[A-Za-z0-9_-]+))?")
CHANGE_WIDTH: Final = 60
"""Cells of one value in a line; `--json` has all of it."""


def event_number(event: Mapping[str, Any]) -> str:
    """An event's number as `undo` and `prove -n` take it, `n=17`; of another machine's with the start of its key.

    Every machine counts its own events, so that one number can name several, of which `undo` means this machine's.
    """
    number = f"n={event.get('n', '?')}"
    return number if event.get("own", True) else f"{number}@{lines.text_of(event, 'author')[:KEY_SHOWN]}"


def event_meant(typed: str) -> tuple[int, str] | None:
    """An event's number as `event_number` writes it, with or without `n=`, and the start of the machine's key, or "".

    Returns:
        None for what names no event.
    """
    found = _EVENT.fullmatch(typed)
    number = int(found["number"]) if found else LAST_EVENT + 1
    return (number, found["key"] or "") if found and number <= LAST_EVENT else None


def history_lines(style: Style, events: list[dict[str, Any]], now_ms: int) -> list[str]:
    """A line for each event: its number, when, who, and what it changed."""
    rows = []
    for event in events:
        moment = when.instant(event.get("at"))
        told = when.age(moment, now_ms) if moment is not None and style.terminal else ""
        date = when.short_date(moment) if moment is not None else "unknown"
        changes = changes_text(event)
        who = " ".join(filter(None, (lines.text_of(event, "actor"), lines.origin_cell(style, event))))
        rows.append((event_number(event), style.faint(date), style.faint(told), who, changes))
    return lines.lines_of(style, rows)


def changes_text(event: Mapping[str, Any]) -> str:
    """What an event changed, safe to print on one line."""
    return "; ".join(map(change_text, event.get("changes", ())))


def change_text(change: Mapping[str, Any], width: int = CHANGE_WIDTH) -> str:
    """A change of one field, as an event tells it, safe to print on one line; its value takes `width` cells at most."""
    field = lines.text_of(change, "field")
    removed = change.get("removed")
    if change.get("missing"):
        return f"{field}: {_erased(change.get('erased_by')) if change.get('erased') else 'not held here'}"
    if removed is True:
        return f"{field} removed"
    what, value = (field, change.get("value")) if removed is None else (f"{field} removed", removed)
    return f"{what}: {cut(field_text(field, value), width)}"


def _erased(by: Mapping[str, Any] | None) -> str:
    moment = None if by is None else when.instant(by.get("at"))
    if by is None or moment is None:
        return "(erased)"
    return f"(erased by {lines.text_of(by, 'actor')}, {when.short_date(moment)})"


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the issue")
    add_limit(parser, LIMIT)
    parser.add_argument("--events", action="store_true", help="with --json always the changes, also called as bd")


def _snapshots(context: Context, events: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The issue after each change, as `bd` tells of its commits; what one command changed counts as one."""
    newest_first: dict[int, Mapping[str, Any]] = {}
    for event in events:
        newest_first.setdefault(event["at"], event)
    for at, event in newest_first.items():
        issue = context.api.call(Show(ids=(context.arguments.id,), as_of=at))[0]
        yield {
            "CommitHash": sha256(f"{event['author']} {event['n']}".encode()).hexdigest()[:32],
            "Committer": event["actor"],
            "CommitDate": format_ms(at),
            "Issue": {name: value for name, value in documents.changed(issue).items() if name[0] != "_"},
        }


def _run(context: Context) -> int:
    limit = checked_limit(context.arguments)
    events = context.api.call(History(id=context.arguments.id, limit=limit))
    is_bd = context.terminal.facts.is_bd
    if context.json and is_bd and not context.arguments.events:
        documents.write(context, list(_snapshots(context, events)))
    elif context.json:
        documents.write(context, events)
    else:
        style = style_of(context.terminal.facts)
        lines.write_lines(context, history_lines(style, events, context.now_ms))
    if limit and len(events) == limit:
        newest = "event" if limit == 1 else f"{limit:,} events"
        context.terminal.err(f"the newest {newest} shown; --limit 0 shows all\n")
    return exits.OK


COMMANDS: Final = (
    Command(
        "history",
        "Every change of an issue, newest first, with the number (n=) that undo and prove take",
        _arguments,
        _run,
        examples=("moot history a1b2",),
    ),
)
"""The commands of this module."""
