"""The command that lists conflicts: what people wrote differently, unseen by one another.

Of issues, memories and settings it tells those of the folder's project, or of the projects that are named; documents
belong to none, and those of every plane are told.
"""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.command import Command, Context
from moot.console.lines import documents as document_lines
from moot.console.lines import issues as lines
from moot.console.lines import kept as kept_lines
from moot.console.text import when
from moot.console.text.field_words import field_words
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.text.table import cut
from moot_protocol.documents.document import DOCUMENT_KINDS, is_name
from moot_protocol.errors import Code, MootError
from moot_protocol.merge.deletion import DELETED, is_deletion
from moot_protocol.requests.base import Request
from moot_protocol.requests.documents import DocumentConflicts, Documents
from moot_protocol.requests.exchange import Planes
from moot_protocol.requests.issues import Conflicts, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import Memories, Settings

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
    filters.add_place(parser)


def _run(context: Context) -> int:
    if context.arguments.id:
        return tell(context, context.arguments.id)
    projects = filters.projects_listed(context)
    of_issues = _of_projects(context, context.api.call(Conflicts()), projects)
    of_kept = _of_kept(context, projects)
    of_documents = context.api.call(DocumentConflicts(plane=context.arguments.plane))
    return _answer(context, of_issues, of_documents, of_kept)


def tell(context: Context, typed: str, field: str = "") -> int:
    """Tell of the conflicts of an issue or document, each with all its values and who wrote them when.

    Args:
        context: the command's.
        typed: the issue or document whose they are.
        field: the field of an issue; empty for all.
    """
    of_issues = _of_issues(context, typed)
    if of_issues is not None and field:
        of_issues = [conflict for conflict in of_issues if conflict["field"] == field]
    # What is an issue's id is looked for among issues only.
    of_documents = [] if of_issues is not None else context.api.call(DocumentConflicts(name=typed))
    return _answer(context, of_issues or [], of_documents)


def _answer(
    context: Context,
    of_issues: Sequence[Mapping[str, Any]],
    of_documents: Sequence[Mapping[str, Any]],
    of_kept: Sequence[Mapping[str, Any]] = (),
) -> int:
    facts = context.terminal.facts
    if context.json:
        documents.write(context, [*of_issues, *of_documents, *of_kept])
    elif of_issues or of_documents or of_kept:
        style = style_of(facts)
        told = conflict_lines(style, of_issues, context.now_ms, facts.program)
        told += kept_lines.conflict_lines(style, of_kept, context.now_ms, facts.program)
        told += document_lines.conflict_lines(style, of_documents, context.now_ms, facts.program)
        lines.write_lines(context, told)
    else:
        context.terminal.err("no conflicts\n")
    return exits.OK


def _of_projects(context: Context, found: list[dict[str, Any]], projects: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the issues of these projects (empty: of all) and of the plane that is named; deleted issues too."""
    plane = context.arguments.plane
    if not found or not (projects or plane):
        return found
    ids = tuple(dict.fromkeys(str(each["id"]) for each in found))
    of_these = set()
    for deleted in (False, True):
        wanted = Filter(projects=tuple(projects), plane=plane, ids=ids, deleted=deleted)
        of_these |= {issue["id"] for issue in context.api.call(ListIssues(filter=wanted, all=True, limit=0)).issues}
    return [each for each in found if each["id"] in of_these]


def _of_kept(context: Context, projects: Sequence[str]) -> list[dict[str, Any]]:
    """The memories and settings in conflict of these projects (empty: of all), and the settings of the town."""
    found: list[dict[str, Any]] = []
    for project, plane in _places(context, projects):
        memories = _read(context, Memories(project=project, plane=plane, conflicts=True))
        settings = _read(context, Settings(project=project, plane=plane, conflicts=True))
        found += (kept_lines.conflict_of(each, project) for each in (*memories, *settings))
    of_town = {each["key"]: each for each in found if not each["project"]}  # once, though every project has them
    return [*(each for each in found if each["project"]), *of_town.values()]


def _places(context: Context, projects: Sequence[str]) -> list[tuple[str, str]]:
    """(project, plane) of what is told; a project of one name may be on several planes."""
    named = context.arguments.plane
    if tuple(projects) == (context.project,) and not named:
        return [(context.project, context.plane)]
    return [
        (name, str(plane["plane"]))
        for plane in context.api.call(Planes())
        if not named or plane["name"] == named or str(plane["plane"]).startswith(named)
        for name in plane["projects"]
        if not projects or name in projects
    ]


def _read(context: Context, request: Request[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What is in conflict; nothing where a token may not read it, as with single ones that it may not see."""
    try:
        return context.api.call(request)
    except MootError as error:
        if error.code is not Code.DENIED:
            raise
        return []


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
        "What was written differently at the same time, with every value: of this project, and of documents",
        _arguments,
        _run,
        examples=(
            "moot conflicts",
            "moot conflicts --project all",
            "moot conflicts a1b2",
            "moot conflicts role/reviewer",
        ),
    ),
)
"""The commands of this module."""
