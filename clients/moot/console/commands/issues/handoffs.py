"""handoff write, handoff read: word for whoever goes on with an issue."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.commands.issues.show import indented
from moot.console.context import answer
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import RefusedError
from moot_protocol.requests.claims import Handoffs, WriteHandoff

_HASH_CHARS: Final = 40


def _write_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("id", metavar="ID", help="the issue")
    add("--next", default="", metavar="TEXT", help="the next step")
    add("--decision", action="append", default=[], metavar="TEXT", help="what was decided, repeatable")
    add("--dead-end", action="append", default=[], metavar="TEXT", help="what was tried and didn't work, repeatable")
    add("--head", metavar="COMMIT", help="the commit it stands at; else git's HEAD here; empty for none")
    add_dry_run(parser)


def _write(context: Context) -> int:
    given = context.arguments
    left = context.api.call(
        WriteHandoff(
            actor=context.actor,
            dry_run=given.dry_run,
            id=given.id,
            decisions=tuple(given.decision),
            dead_ends=tuple(given.dead_end),
            next=given.next,
            head=_head(context) if given.head is None else given.head,
        )
    )
    done = "Would hand over" if given.dry_run else "Handed over"
    answer(context, left, [confirmed(context, f"{done} {lines.text_of(left, 'issue_id')}")])
    return exits.OK


def _head(context: Context) -> str:
    """Where git stands in the repository of the folder, or empty where there is none."""
    try:
        return context.terminal.ask_tool("git-head").strip()[:_HASH_CHARS]
    except RefusedError:
        return ""


def _read_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("--all", action="store_true", help="earlier ones too, newest first")


def _read(context: Context) -> int:
    found = context.api.call(Handoffs(id=context.arguments.id))
    shown = found if context.arguments.all else found[:1]
    if not shown and not context.json:
        context.terminal.err(f"nothing was handed over on {neutralise(context.arguments.id)}\n")
        return exits.OK
    answer(context, shown, _lines(context, shown))
    return exits.OK


def _lines(context: Context, shown: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for position, handoff in enumerate(shown):
        if position:
            yield ""
        yield from handoff_lines(handoff, context.now_ms)


def handoff_lines(handoff: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    """A hand-off: who left it and when, then what."""
    moment = when.instant(handoff.get("created_at"))
    age = "" if moment is None else f", {when.age(moment, now_ms)}"
    head = lines.text_of(handoff, "head")
    yield f"Handed over by {lines.text_of(handoff, 'author') or 'somebody'}{age}{f', at {head}' if head else ''}"
    parts = (("Next", [handoff.get("next")]), ("Decided", handoff.get("decisions", ())))
    for name, texts in (*parts, ("Dead end", handoff.get("dead_ends", ()))):
        for text in filter(None, texts):
            first, *more = indented(f"{name}: {text}")
            yield first
            yield from (f"  {line}" if line else line for line in more)


COMMANDS: Final = (
    Command(
        "handoff write",
        "Leave word for whoever goes on with an issue",
        _write_arguments,
        _write,
        examples=(
            'moot handoff write bd-a1b2 --next "Wire up the store" --decision LMDB',
            'moot handoff write bd-a1b2 --next "Test it" --dead-end "SQLite: too slow"',
        ),
    ),
    Command(
        "handoff read",
        "What was handed over with an issue, the latest",
        _read_arguments,
        _read,
        examples=("moot handoff read bd-a1b2 --json",),
    ),
)
"""The commands of this module."""
