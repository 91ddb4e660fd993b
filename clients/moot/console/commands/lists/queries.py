"""Commands that look over all issues: query, stale, lint."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.command import Command, Context
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.notices.unknown_names import told
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.text.table import cut, width_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.query import parse, show
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.requests.queries import Lint, Query, Stale
from moot_protocol.time_units import DAY_MS

LIMIT: Final = 50
STALE_DAYS: Final = 30


def _write(context: Context, page: Page, rows: Sequence[str]) -> int:
    """Write a page: as JSON, or the rows made of it."""
    if context.json:
        documents.write_page(context, page, comma_separated(getattr(context.arguments, "fields", None)))
    else:
        lines.write_issues(context, page, rows)
    return exits.OK


# -- query -------------------------------------------------------------------------------------------------------
def _query_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("query", nargs="+", metavar="QUERY", help="field operator value, with AND, OR, NOT and parentheses")
    add("-a", "--all", action="store_true", help="closed ones too")
    add("--sort", choices=filters.SORTS, default="priority", help="by this field (default priority)")
    add("-r", "--reverse", action="store_true", help="the other way round")
    filters.add_limit(parser, LIMIT)
    add("--long", action="store_true", help="with dates, labels and dependencies")
    add("--fields", action="append", metavar="A,B", help="these fields only, also with --json")
    add("--parse-only", action="store_true", help="show how the query is understood, and ask nothing")
    filters.add_place(parser)


def _query(context: Context) -> int:
    arguments = context.arguments
    text = " ".join(arguments.query)
    tree = parse(text)
    if arguments.parse_only:
        shown = show(tree)
        if context.json:
            documents.write(context, {"query": shown})
        else:
            context.terminal.out(f"Parsed query: {neutralise(shown)}\n")
        return exits.OK
    fields = comma_separated(arguments.fields)
    page = context.api.call(
        Query(
            text=text,
            projects=filters.projects_listed(context),
            plane=arguments.plane,
            all=arguments.all,
            sort=arguments.sort,
            reverse=arguments.reverse,
            limit=filters.checked_limit(arguments),
            texts=documents.needs_texts(fields) if context.json or fields else False,
        )
    )
    style = style_of(context.terminal.facts)
    if fields:
        documents.check_known(page.issues, fields)
        return _write(context, page, lines.field_rows(style, page, fields))
    if arguments.long:
        return _write(context, page, lines.long_rows(style, page, context.now_ms))
    return _write(context, page, lines.issue_rows(style, page, lines.LIST))


# -- stale -------------------------------------------------------------------------------------------------------
def _stale_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-d", "--days", type=int, default=STALE_DAYS, help=f"for so many days (default {STALE_DAYS})")
    parser.add_argument("-s", "--status", action="append", help="of this status; else any but closed")
    filters.add_limit(parser, LIMIT)
    filters.add_basic(parser)


def _stale(context: Context) -> int:
    arguments = context.arguments
    if arguments.days < 1:
        raise RefusedError("--days counts from 1", code=Code.USAGE)
    statuses = comma_separated(arguments.status)
    if filters.ALL_STATUSES in statuses:
        hint = "`--status open,closed` names several"
        raise RefusedError("what is stale has one of the statuses that are named", code=Code.USAGE, hint=hint)
    page = context.api.call(
        Stale(
            before=context.now_ms - arguments.days * DAY_MS,
            filter=filters.basic_filter(context, statuses=statuses),
            limit=filters.checked_limit(arguments),
            texts=context.json,
        )
    )
    style = style_of(context.terminal.facts)
    return _write(context, page, lines.issue_rows(style, page, (*lines.LIST, _age(context.now_ms))))


def _age(now_ms: int) -> lines.Cell:
    def cell(style: Style, issue: IssueDoc) -> str:
        moment = when.instant(issue.get("updated_at"))
        return style.faint(when.age(moment, now_ms)) if moment is not None else ""

    return cell


# -- lint --------------------------------------------------------------------------------------------------------
def _lint_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="these issues only")
    parser.add_argument("-t", "--type", action="append", help="of this type")
    parser.add_argument("-s", "--status", action="append", help="of this status, or all (default open)")
    filters.add_place(parser)


def _lint(context: Context) -> int:
    arguments = context.arguments
    statuses = comma_separated(arguments.status) or ("open",)
    wanted = Filter(
        projects=filters.projects_listed(context),
        plane=arguments.plane,
        types=comma_separated(arguments.type),
        statuses=() if filters.ALL_STATUSES in statuses else statuses,
    )
    found = context.api.call(Lint(ids=tuple(arguments.ids), filter=wanted))
    results: list[dict[str, Any]] = found["results"]
    total = sum(result["warnings"] for result in results)
    if context.json:
        documents.write(context, {"total": total, "issues": len(results), "results": results})
        return exits.OK
    if not results:
        none_found = f"No template warnings found ({several(found['checked'], 'issue')} checked)"
        lines.write_lines(context, [confirmed(context, none_found)])
        return exits.OK
    style = style_of(context.terminal.facts)
    told_lines = [f"Template warnings ({several(len(results), 'issue')}, {several(total, 'warning')}):"]
    for result in results:
        begin = f"{style.issue_id(lines.text_of(result, 'id'))} [{lines.text_of(result, 'type')}]: "
        title = lines.text_of(result, "title")
        told_lines.append(begin + (cut(title, style.width - width_of(begin)) if style.terminal else title))
        told_lines += [f"  {style.alarm('⚠')} Missing: {neutralise(heading)}" for heading in result["missing"]]
    lines.write_lines(context, told_lines)
    return exits.FAILED


COMMANDS: Final = (
    Command(
        "query",
        "Issues that a query finds: fields compared, with AND, OR, NOT",
        _query_arguments,
        told(_query),
        examples=(
            'moot query "status=open AND priority<=1 AND updated>7d"',
            'moot query "(label=frontend OR label=ui) AND NOT assignee=none" --sort updated',
            'moot query "title~login AND due<+2d" --parse-only',
        ),
    ),
    Command(
        "stale",
        "Issues not closed that nobody has changed for long, oldest first",
        _stale_arguments,
        told(_stale),
        examples=("moot stale", "moot stale --days 7 --status in_progress"),
    ),
    Command(
        "lint",
        "Issues that lack sections which their type should have",
        _lint_arguments,
        told(_lint),
        examples=("moot lint", "moot lint --type bug --status all", "moot lint bd-a1b2 --json"),
    ),
)
"""The commands of this module. `lint` ends with code 1 where it found something, unless JSON is wanted, as `bd`'s."""
