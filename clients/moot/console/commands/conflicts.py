"""The command that lists conflicts: fields that people wrote differently without sight of one another."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits, when
from moot.console import issue_lines as lines
from moot.console.command import Command, Context
from moot.console.safe_text import neutralise
from moot.console.style import Style, style_of
from moot.console.table import cut
from moot_protocol.deletion import DELETED, is_deletion
from moot_protocol.requests import Conflicts

VALUE_WIDTH: Final = 200
"""Cells of a value that are shown on its line; `--json` has all of it."""


def value_text(value: Any) -> str:
    """A field's value as safe text on one line: text as it is, anything else as JSON; cut if it is long."""
    if value is None or value == "":
        return "(empty)"
    return cut(neutralise(value if isinstance(value, str) else documents.encoded(value)), VALUE_WIDTH)


def deletion_text(value: Any) -> str:
    """What was said of an issue's being deleted."""
    if not is_deletion(value):
        return "(not deleted)" if value is None or value == "" else value_text(value)
    by, reason = value[0], value[1]
    who = f" by {value_text(by)}" if by else ""
    return f"deleted{who}: {value_text(reason)}" if reason else f"deleted{who}"


def conflict_lines(style: Style, conflicts: Sequence[Mapping[str, Any]], now_ms: int, program: str) -> list[str]:
    """For each conflict its field and, numbered as `resolve --pick` takes them, its values with who wrote them when."""
    told: list[str] = []
    for conflict in conflicts:
        issue, field = lines.text_of(conflict, "id"), lines.text_of(conflict, "field")
        text = deletion_text if field == DELETED else value_text
        mark = " (deleted)" if conflict.get("deleted") else ""
        told.append(f"  {style.issue_id(issue)}{mark} {style.alarm(field)} shows {text(conflict.get('shown'))}")
        for number, sibling in enumerate(conflict["values"], start=1):
            moment = when.instant(sibling.get("at"))
            age = "" if moment is None else f", {when.age(moment, now_ms)}"
            who = style.faint(f"({lines.text_of(sibling, 'actor')}{age})")
            told.append(f"    {number}. {text(sibling.get('value'))} {who}")
    if told:
        told.append(style.faint(f"  settle one with `{program} resolve ID FIELD --pick NUMBER`"))
    return told


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="", help="of this issue only")


def _run(context: Context) -> int:
    conflicts = context.api.call(Conflicts(id=context.arguments.id))
    facts = context.terminal.facts
    if context.json:
        documents.write(context, conflicts)
    elif conflicts:
        lines.write_lines(context, conflict_lines(style_of(facts), conflicts, context.now_ms, facts.program))
    else:
        context.terminal.err("no conflicts\n")
    return exits.OK


COMMANDS: Final = (
    Command(
        "conflicts",
        "Fields that were written differently at the same time, with every value",
        _arguments,
        _run,
        examples=("moot conflicts", "moot conflicts a1b2"),
    ),
)
"""The commands of this module."""
