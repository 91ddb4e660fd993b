"""Commands that show issues in full: show, comments.

Foreign text of several lines is indented, so that no line of it can pass for one of ours.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console import documents, exits
from moot.console.arguments.filters import projects_of
from moot.console.command import Command, Context, issue_argument
from moot.console.commands.issues import conflicts
from moot.console.context import answer_list
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.watching import watched
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS, PARENT
from moot_protocol.issues.handoff import read_handoff
from moot_protocol.issues.issue import LONG_TEXTS
from moot_protocol.requests.issues import Conflicts, Edges, ListIssues, Show
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.time_units import MINUTE_MS

NOT_HERE: Final = "not here"
_AT_WORK: Final = ("in_progress", "hooked")
_FACTS: Final = {
    "owner": "owner",
    "external_ref": "external",
    "source_system": "source",
    "spec_id": "spec",
    "created_by": "",
    "closed_by_session": "session",
}
"""Field → how it is called on the page; empty: told elsewhere."""
_ON_THE_PAGE: Final = frozenset(
    {
        *LONG_TEXTS, *_FACTS, "id", "title", "status", "priority", "issue_type", "assignee", "labels", "dependencies",
        "dependents", "comments", "created_at", "updated_at", "started_at", "closed_at", "close_reason", "due_at",
        "defer_until", "estimated_minutes", "parent", "dependency_count", "dependent_count", "comment_count",
    }
)  # fmt: skip


class Neighbours(NamedTuple):
    """What an issue's own document doesn't tell: what it depends on and how its values disagree."""

    down: Sequence[IssueDoc] = ()
    """As `Edges` answers."""
    conflicts: Sequence[dict[str, Any]] = ()
    """As `Conflicts` answers."""
    past: bool = False
    """Whether the issue is shown as it was: of its neighbours then only the ids are known."""


# -- The page ----------------------------------------------------------------------------------------------------
def issue_page(style: Style, issue: IssueDoc, around: Neighbours, now_ms: int, *, program: str = "moot") -> list[str]:
    """The lines that tell all of an issue: what it is, its texts, what it is linked to, its comments."""
    status = style.status(lines.text_of(issue, "status")) + (style.alarm(" (blocked)") if issue.get("_blocked") else "")
    assignee = lines.text_of(issue, "assignee")
    unique = issue.get("_short", 0)
    whole = lines.name_of(style, issue, unique, len(issue["id"]))
    if "_alias" in issue:
        whole += style.faint(f" ({lines.text_of(issue, 'id')})")
    words = (style.priority(issue.get("priority")), style.issue_type(lines.text_of(issue, "issue_type")))
    held = (f"@{assignee}",) if assignee else ()
    page = [
        f"{whole} {style.heading(lines.text_of(issue, 'title'))}",
        " ".join(filter(None, (*words, status, *held))),
        *_facts(style, issue, now_ms),
    ]
    for field in LONG_TEXTS:
        if issue.get(field):
            page += section(style, field.replace("_", " "), indented(issue[field]))
    page += _links(style, around, issue.get("dependents", ()))
    if around.conflicts:
        page += section(style, "conflicts", conflicts.conflict_lines(style, around.conflicts, now_ms, program))
    if issue.get("comments"):
        page += section(style, "comments", comment_lines(style, issue["comments"], now_ms))
    return page


def section(style: Style, name: str, body: Iterable[str]) -> list[str]:
    """A part of a page under its heading; nothing if it has no lines."""
    told = list(body)
    return ["", style.heading(name.upper()), *told] if told else []


def indented(text: str, by: str = "  ") -> list[str]:
    """Foreign text, line by line as it is, safe and indented."""
    return [(by + line).rstrip() for line in neutralise(text, keep_newlines=True).rstrip("\n").split("\n")]


def _facts(style: Style, issue: IssueDoc, now_ms: int) -> list[str]:
    """The lines below the header: who, when, labels, references."""
    facts = [("labels", ", ".join(map(neutralise, issue.get("labels", ()))))]
    facts += [(name, lines.text_of(issue, field)) for field, name in _FACTS.items() if name]
    if isinstance(minutes := issue.get("estimated_minutes"), int):
        facts.append(("estimate", when.lasted(minutes * MINUTE_MS)))
    facts += _times(issue, now_ms)
    facts += _holding(issue, now_ms)
    facts += [("written in", _written_in(origin)) for origin in issue.get("_origin", ())]
    erased = frozenset(issue.get("_erased", ()))
    facts.append(("erased", ", ".join(neutralise(name) for name in issue.get("_missing", ()) if name in erased)))
    missing = ", ".join(neutralise(name) for name in issue.get("_missing", ()) if name not in erased)
    facts.append(("missing", f"{missing} (not received)" if missing else ""))
    return lines.lines_of(style, [(style.faint(name), told) for name, told in facts if told])


def _written_in(origin: Mapping[str, Any]) -> str:
    """What another town has written of an issue."""
    what = ["the issue"] if origin.get("created") else []
    what += [neutralise(str(field)).replace("_", " ") for field in origin.get("fields", ())]
    replica = lines.text_of(origin, "replica")
    return f"town {lines.town_of(origin)}: {', '.join(what)} (replica {replica})"


def _holding(issue: IssueDoc, now_ms: int) -> Iterable[tuple[str, str]]:
    """When its claim ends, and what the one before left as the next step."""
    ends = when.instant(issue.get("_claim", {}).get("expires_at"))
    if ends is not None:
        over = f"ended {when.age(ends, now_ms)}: whoever claims it has it"
        yield "claim", over if ends <= now_ms else f"ends in {when.lasted(ends - now_ms)} unless renewed"
    left = [handoff for comment in issue.get("comments", ()) if (handoff := read_handoff(comment))]
    if left:
        yield "handed over", neutralise(left[-1].next) or "see comments"


def _times(issue: IssueDoc, now_ms: int) -> Iterable[tuple[str, str]]:
    created = when.instant(issue.get("created_at"))
    closed = when.instant(issue.get("closed_at"))
    more = {"created_at": _by(issue), "closed_at": _closing(issue, created, closed)}
    named = {
        "created_at": "created",
        "updated_at": "updated",
        "started_at": "started",
        "closed_at": "closed",
        "due_at": "due",
        "defer_until": "deferred until",
    }
    for field, name in named.items():
        moment = when.instant(issue.get(field))
        if moment is not None:
            yield name, f"{when.short_date(moment)} ({when.age(moment, now_ms)}){more.get(field, '')}"
        elif issue.get(field):
            yield name, lines.text_of(issue, field)


def _by(issue: IssueDoc) -> str:
    creator = lines.text_of(issue, "created_by")
    return f" by {creator}" if creator else ""


def _closing(issue: IssueDoc, created: int | None, closed: int | None) -> str:
    after = "" if created is None or closed is None else f" after {when.lasted(closed - created)}"
    reason = lines.text_of(issue, "close_reason")
    return after + (f": {reason}" if reason else "")


def _links(style: Style, around: Neighbours, up: Sequence[IssueDoc]) -> list[str]:
    absent = "" if around.past else NOT_HERE
    parents, needs = _divided(around.down)
    children, needed_by = _divided(up)
    told = section(style, "parent", edge_lines(style, parents, absent))
    told += section(style, "children", edge_lines(style, children, absent))
    told += section(style, "depends on", edge_lines(style, needs, absent))
    return told + section(style, "needed by", edge_lines(style, needed_by, absent))


def _divided(edges: Sequence[IssueDoc]) -> tuple[list[IssueDoc], list[IssueDoc]]:
    """The edges between parent and child, and all others."""
    family = [edge for edge in edges if edge.get("dependency_type") == PARENT]
    return family, [edge for edge in edges if edge.get("dependency_type") != PARENT]


def edge_lines(style: Style, edges: Sequence[IssueDoc], absent: str = NOT_HERE) -> list[str]:
    """A line for each linked issue, with the kind of link unless it is usual; `absent` is said of those not here."""
    told = []
    for edge in edges:
        link = lines.text_of(edge, "dependency_type")
        notes = ("" if link in {BLOCKS, PARENT} else link, "" if edge.get("status") else absent)
        told.append(lines.node_line(style, "  ", edge, note=", ".join(filter(None, notes))))
    return told


def comment_lines(style: Style, comments: Sequence[Mapping[str, Any]], now_ms: int) -> list[str]:
    """Comments, each below a line with its author and age."""
    told: list[str] = []
    for comment in comments:
        moment = when.instant(comment.get("created_at"))
        age = "" if moment is None else when.age(moment, now_ms)
        author = lines.text_of(comment, "author") or "somebody"
        parts = (style.heading(author), _comes_from(style, comment), style.faint(age))
        told.append("  " + ", ".join(filter(None, parts)))
        told += indented(str(comment.get("text", "")), "    ")
    return told


def _comes_from(style: Style, comment: Mapping[str, Any]) -> str:
    mark = lines.origin_mark(comment)
    return style.alarm(mark) if mark else ""


def _other_fields(style: Style, issue: IssueDoc) -> list[str]:
    """The fields that the page has no place for, as they stand in documents."""
    fields = sorted(name for name in issue if name not in _ON_THE_PAGE and not name.startswith("_"))
    values = [f"  {neutralise(name)} {neutralise(documents.encoded(issue[name]))}" for name in fields]
    return section(style, "other fields", values)


# -- Running -----------------------------------------------------------------------------------------------------
def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="an issue, or several")
    parser.add_argument("--id", action="append", metavar="ID", help="the same as a flag, repeatable")
    parser.add_argument(
        "--as-of", default="", metavar="TIME", help=f"as this machine's log tells it was then: {when.HELP}"
    )
    for flag in ("--include-comments", "--include-dependents"):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: both are always there")
    parser.add_argument("--current", action="store_true", help="the issue that you have in progress, changed last")
    parser.add_argument("-w", "--watch", action="store_true", help="draw it again whenever something happens")
    look = parser.add_mutually_exclusive_group()
    look.add_argument("--short", action="store_true", help="one line each")
    look.add_argument("--long", action="store_true", help="fields that have no place on the page too")
    look.add_argument("--fields", action="append", metavar="A,B", help="these fields only, also with --json")
    look.add_argument("--children", action="store_true", help="the parts of each, in its place")
    look.add_argument("--refs", action="store_true", help="what depends on each or is part of it, in its place")


def _wanted(context: Context) -> tuple[str, ...]:
    ids = (*context.arguments.ids, *(context.arguments.id or ()))
    if context.arguments.current and not ids:
        return (_current(context),)
    if not ids:
        raise RefusedError("which issue?", code=Code.USAGE, hint="give one or more ids")
    return ids


def _current(context: Context) -> str:
    """The issue that the actor works on.

    Raises:
        RefusedError: `not_found`: on none.
    """
    mine = Filter(projects=projects_of(context), statuses=_AT_WORK, assignee=context.actor)
    page = context.api.call(ListIssues(filter=mine, sort="updated", limit=1))
    if not page.issues:
        told = f"{context.actor} has no issue in progress"
        raise RefusedError(told, code=Code.NOT_FOUND, hint="`moot ready --claim` takes one")
    return str(page.issues[0]["id"])


def _around(context: Context, issue: IssueDoc, *, past: bool) -> Neighbours:
    """What stands around an issue now; of one in the past, what its own document tells."""
    if past:
        edges = issue.get("dependencies", ())
        known = [{"id": edge["depends_on_id"], "dependency_type": edge.get("type", "")} for edge in edges]
        return Neighbours(known, past=True)
    down = context.api.call(Edges(id=issue["id"])) if issue.get("dependencies") else []
    open_conflicts = context.api.call(Conflicts(id=issue["id"])) if issue.get("_conflicts") else []
    return Neighbours(down, open_conflicts)


def _show_relatives(context: Context, issues: Sequence[IssueDoc]) -> None:
    """The parts of issues, or all that points to them, below the id of each."""
    only_parts = context.arguments.children
    found = {
        issue["id"]: [
            edge for edge in issue.get("dependents", ()) if not only_parts or edge.get("dependency_type") == PARENT
        ]
        for issue in issues
    }
    if context.json:
        documents.write(context, {one: list(map(documents.without_marks, edges)) for one, edges in found.items()})
        return
    style = style_of(context.terminal.facts)
    for issue in issues:
        context.terminal.out(f"{lines.node_line(style, '', issue)}\n")
        lines.write_lines(context, edge_lines(style, found[issue["id"]]) or [style.faint("  none")])


def _show(context: Context) -> int:
    arguments = context.arguments
    as_of = when.parse(arguments.as_of, context.now_ms) if arguments.as_of else None
    issues = context.api.call(Show(ids=_wanted(context), as_of=as_of))
    if arguments.children or arguments.refs:
        _show_relatives(context, issues)
        return exits.OK
    style = style_of(context.terminal.facts)
    fields = comma_separated(arguments.fields)
    if (arguments.short or fields) and not context.json:
        short = [issue.get("_short", 0) for issue in issues]
        page = Page(issues=issues, total=len(issues), truncated=False, short=short)
        documents.check_known(issues, fields)
        told = lines.field_rows(style, page, fields) if fields else lines.issue_rows(style, page, lines.LIST)
        lines.write_lines(context, told)
        return exits.OK
    around = [_around(context, issue, past=as_of is not None) for issue in issues]
    if context.json:
        details = [documents.issue_details(issue, near.down) for issue, near in zip(issues, around, strict=True)]
        documents.check_known(details, fields)
        documents.write(context, [documents.selected(detail, fields) for detail in details])
        return exits.OK
    told = []
    for issue, near in zip(issues, around, strict=True):
        told += ["", ""] if told else []
        told += issue_page(style, issue, near, context.now_ms, program=context.terminal.facts.program)
        told += _other_fields(style, issue) if arguments.long else []
    lines.write_lines(context, told)
    return exits.OK


def _comments(context: Context) -> int:
    issue = context.api.call(Show(ids=(context.arguments.id,)))[0]
    comments = issue.get("comments", [])
    answer_list(
        context,
        comments,
        lambda style: comment_lines(style, comments, context.now_ms),
        f"no comments on {lines.text_of(issue, 'id')}",
    )
    return exits.OK


COMMANDS: Final = (
    Command(
        "show",
        "Show issues in full",
        _show_arguments,
        watched(_show),
        aliases=("view",),
        examples=("moot show a1b2", "moot show a1b2 --as-of yesterday", "moot show a1b2 c3d4 --json"),
    ),
    Command(
        "comments",
        "The comments on an issue",
        issue_argument,
        _comments,
        examples=("moot comments bd-a1b2", "moot comments bd-a1b2 --json"),
    ),
)
"""The commands of this module."""
