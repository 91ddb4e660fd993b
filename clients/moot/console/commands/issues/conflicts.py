"""The command that lists conflicts: fields and documents that people wrote differently, unseen by one another."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.lines import documents as document_lines
from moot.console.lines import issues as lines
from moot.console.text import when
from moot.console.text.field_words import field_words
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.text.table import cut
from moot_protocol.documents.document import DOCUMENT_KINDS, is_name
from moot_protocol.errors import Code, MootError
from moot_protocol.merge.deletion import DELETED, is_deletion
from moot_protocol.requests.documents import DocumentConflicts, Documents
from moot_protocol.requests.issues import Conflicts

VALUE_WIDTH: Final = 200
"""Cells of a value that are shown on its line; `--json` has all of it."""


def value_text(value: Any) -> str:
    """A field's value as safe text on one line: text as it is, anything else as JSON; cut if it is long."""
    if value is None or value == "":
        return "(empty)"
    return cut(neutralise(value if isinstance(value, str) else documents.encoded(value)), VALUE_WIDTH)


def field_text(field: Any, value: Any) -> str:
    """A field's value as `value_text` has it; what the log keeps otherwise than people would say it, in words."""
    told = field_words(field, value)
    return value_text(value if told is None else told)


def deletion_text(value: Any) -> str:
    """What was said of an issue's being deleted."""
    if not is_deletion(value):
        return "(not deleted)" if value is None or value == "" else value_text(value)
    by, reason = value[0], value[1]
    who = f" by {value_text(by)}" if by else ""
    return f"deleted{who}: {value_text(reason)}" if reason else f"deleted{who}"


def conflict_lines(style: Style, conflicts: Sequence[Mapping[str, Any]], now_ms: int, program: str) -> list[str]:
    """For each conflict its field and, as `resolve --pick` takes them, its values: number, value, who, when, name."""
    told: list[str] = []
    for conflict in conflicts:
        issue, field = lines.text_of(conflict, "id"), lines.text_of(conflict, "field")
        text = deletion_text if field == DELETED else value_text
        mark = " (deleted)" if conflict.get("deleted") else ""
        told.append(f"  {style.issue_id(issue)}{mark} {style.alarm(field)} shows {text(conflict.get('shown'))}")
        for number, sibling in enumerate(conflict["values"], start=1):
            moment = when.instant(sibling.get("at"))
            age = "" if moment is None else f", {when.age(moment, now_ms)}"
            mark = lines.origin_mark(sibling)
            back = f", put back by {lines.text_of(sibling, 'put_back_by')}" if sibling.get("put_back_by") else ""
            who = style.faint(f"({lines.text_of(sibling, 'actor')}{f' {mark}' if mark else ''}{age}{back})")
            name = f" {lines.text_of(sibling, 'name')}" if sibling.get("name") else ""
            told.append(f"    {number}. {text(sibling.get('value'))} {who}{name}")
    if told:
        told.append(
            style.faint(f"  settle one with `{program} resolve ID FIELD --pick NUMBER`{document_lines.OR_NAME}")
        )
    return told


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="", help="of this issue, or of the document KIND/NAME, only")


def _run(context: Context) -> int:
    return tell(context, context.arguments.id)


def tell(context: Context, typed: str, field: str = "") -> int:
    """Tell of conflicts, each with all its values and who wrote them when.

    Args:
        context: the command's.
        typed: the issue or document whose they are; empty for all.
        field: the field of an issue; empty for all.
    """
    of_issues = _of_issues(context, typed)
    if of_issues is not None and field:
        of_issues = [conflict for conflict in of_issues if conflict["field"] == field]
    # What is an issue's id is looked for among issues only.
    of_documents = [] if typed and of_issues is not None else context.api.call(DocumentConflicts(name=typed))
    facts, found = context.terminal.facts, of_issues or []
    if context.json:
        documents.write(context, [*found, *of_documents])
    elif found or of_documents:
        style = style_of(facts)
        told = conflict_lines(style, found, context.now_ms, facts.program)
        told += document_lines.conflict_lines(style, of_documents, context.now_ms, facts.program)
        lines.write_lines(context, told)
    else:
        context.terminal.err("no conflicts\n")
    return exits.OK


def _of_issues(context: Context, typed: str) -> list[dict[str, Any]] | None:
    """The conflicts of issues; None where a document is meant.

    Raises:
        RefusedError: `not_found`: neither an issue nor a document is meant.
    """
    if typed.partition("/")[0] in DOCUMENT_KINDS:
        return None
    try:
        return context.api.call(Conflicts(id=typed))
    except MootError as error:
        if error.code is not Code.NOT_FOUND or not is_name(typed):
            raise
        found = context.api.call(Documents())
        if not any(document["name"] == typed for document in found):
            raise
        return None


COMMANDS: Final = (
    Command(
        "conflicts",
        "What was written differently at the same time, in issues and documents, with every value",
        _arguments,
        _run,
        examples=("moot conflicts", "moot conflicts a1b2", "moot conflicts role/reviewer"),
    ),
)
"""The commands of this module."""
