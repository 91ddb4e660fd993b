"""Commands that list and count issues: list, ready, blocked, search, children, count."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from moot.console import as_bd, documents, exits
from moot.console.arguments import filters
from moot.console.arguments.claiming import check_whose, claim_first
from moot.console.command import Command, Context
from moot.console.commands.bundles.molecules import ready_gated
from moot.console.commands.issues.claims import add_ttl
from moot.console.context import answer, note
from moot.console.grammar import comma_separated
from moot.console.lines import graph_drawing
from moot.console.lines import issues as lines
from moot.console.lines.graph_drawing import Drawing
from moot.console.lines.ready_explained import explained, explained_lines
from moot.console.molecules.molecule import Molecule
from moot.console.notices.unknown_names import told
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot.console.watching import ASK_AGAIN, watch, watched
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import LIST_LIMIT, READY_LIMIT
from moot_protocol.requests.gates import GATE
from moot_protocol.requests.issues import Blocked, Children, Count, ListIssues, Ready
from moot_protocol.requests.listing import Filter, IssueDoc, Page

_GROUPS: Final = ("status", "priority", "type", "assignee", "label")
_FORMATS: Final[dict[str, Callable[[Drawing], Iterable[str]]]] = {
    "dot": graph_drawing.dot,
    "digraph": graph_drawing.pairs,
    "mermaid": graph_drawing.mermaid,
}
_READY_SORTS: Final = ("priority", "oldest", "hybrid")
_OPEN: Final = "open"
_SHAPES: Final = ("long", "tree", "format")
"""Flags that say how issues are told, and with that which of their fields."""


# -- Arguments ---------------------------------------------------------------------------------------------------
def _add_order(parser: ArgumentParser) -> None:
    parser.add_argument("--sort", choices=filters.SORTS, default="priority", help="by this field (default priority)")
    parser.add_argument("-r", "--reverse", action="store_true", help="the other way round")
    filters.add_limit(parser, LIST_LIMIT)


def _add_look(parser: ArgumentParser) -> None:
    parser.add_argument("--fields", action="append", metavar="A,B", help="these fields only, also with --json")
    parser.add_argument("--plain", action="store_true", help="plain lines, as when the output is no terminal")
    parser.add_argument("-w", "--watch", action="store_true", help="draw it again whenever something happens")


def _list_arguments(parser: ArgumentParser) -> None:
    filters.add_full(parser)
    parser.add_argument("--all", action="store_true", help="closed ones too")
    parser.add_argument("--ready", action="store_true", help="of status open only (`ready` knows what isn't blocked)")
    parser.add_argument("--include-gates", action="store_true", help="called as bd: gates, too; moot lists them anyway")
    parser.add_argument("--include-infra", action="store_true", help="called as bd: agents, roles, messages, too")
    for flag in ("--include-templates", "--no-pager", "--skip-labels"):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: it changes nothing here")
    _add_order(parser)
    _add_look(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--long", action="store_true", help="with dates, labels and dependencies")
    shape.add_argument("--tree", "--pretty", action="store_true", help="children below their parents")
    shape.add_argument("--flat", action="store_true", help="one line each (the default)")
    shape.add_argument("--format", choices=_FORMATS, help="the graph of their dependencies: dot, mermaid, or pairs")


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("text", nargs="*", metavar="QUERY", help="a part of the title, or the start of an id")
    parser.add_argument("--query", default="", help="the same as a flag")
    filters.add_full(parser)
    _add_order(parser)
    _add_look(parser)
    parser.add_argument("--long", action="store_true", help="with dates, labels and dependencies")


def _ready_arguments(parser: ArgumentParser) -> None:
    filters.add_basic(parser)
    parser.add_argument("-s", "--sort", choices=_READY_SORTS, default="priority", help="order (default priority)")
    filters.add_limit(parser, READY_LIMIT)
    parser.add_argument("--include-deferred", action="store_true", help="what is deferred, too, with or without a date")
    parser.add_argument("--include-ephemeral", action="store_true", help="ephemeral ones too")
    parser.add_argument("--claim", action="store_true", help="take the first one that nobody else holds")
    add_ttl(parser)
    parser.add_argument("--explain", action="store_true", help="why each is ready, and what the others wait for")
    parser.add_argument("--mol", default="", metavar="ID", help="the steps of this molecule, and which go at once")
    parser.add_argument("--gated", action="store_true", help="molecules that may go on since a gate was closed")
    parser.add_argument("--pretty", action="store_true", help="accepted for bd's sake: this is how it looks anyway")
    _add_look(parser)


def _blocked_arguments(parser: ArgumentParser) -> None:
    filters.add_basic(parser)
    filters.add_limit(parser, 0)
    _add_look(parser)


def _children_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the parent")
    parser.add_argument("--pretty", action="store_true", help="accepted for bd's sake: this is how it looks anyway")
    _add_look(parser)


def _count_arguments(parser: ArgumentParser) -> None:
    filters.add_full(parser)
    parser.add_argument("--include-infra", action="store_true", help="accepted for bd's sake: every type is counted")
    group = parser.add_mutually_exclusive_group()
    for name in _GROUPS:
        group.add_argument(f"--by-{name}", dest="by", action="store_const", const=name, default="", help=f"by {name}")


# -- Running -----------------------------------------------------------------------------------------------------
def _fields(context: Context) -> tuple[str, ...]:
    return comma_separated(context.arguments.fields)


def _wants_texts(context: Context) -> bool:
    fields = _fields(context)
    return documents.needs_texts(fields) if context.json or fields else False


def _style(context: Context) -> Style:
    return style_of(context.terminal.facts, plain=context.arguments.plain)


def _write(context: Context, page: Page, cells: tuple[lines.Cell, ...]) -> int:
    """Write a page as the arguments ask: JSON, chosen fields, or a line for each issue."""
    fields = _fields(context)
    if context.json:
        documents.write_page(context, page, fields)
        return exits.OK
    form = getattr(context.arguments, "format", None)
    if form:
        drawing = graph_drawing.drawing_of("", page.issues)
        lines.write_lines(context, list(_FORMATS[form](drawing)))
        documents.say_left_out(context, page)
        return exits.OK
    style = _style(context)
    if fields:
        documents.check_known(page.issues, fields)
        rows = lines.field_rows(style, page, fields)
    elif getattr(context.arguments, "long", False):
        rows = lines.long_rows(style, page, context.now_ms)
    elif getattr(context.arguments, "tree", False):
        rows = lines.tree_rows(style, page)
    else:
        rows = lines.issue_rows(style, page, cells)
    lines.write_issues(context, page, rows)
    return exits.OK


def _list_issues(context: Context, issue_filter: Filter) -> Page:
    arguments = context.arguments
    shape = next((name for name in _SHAPES if getattr(arguments, name, None)), "")
    if shape and arguments.fields and not context.json:
        raise RefusedError(f"--{shape} has fields of its own", code=Code.USAGE, hint=f"leave out --{shape} or --fields")
    page = context.api.call(
        ListIssues(
            filter=issue_filter,
            all=filters.wants_all_statuses(arguments),
            sort=arguments.sort,
            reverse=arguments.reverse,
            limit=filters.checked_limit(arguments),
            texts=_wants_texts(context),
        )
    )
    _write(context, page, lines.LIST)
    return page


def _list(context: Context) -> int:
    named = comma_separated(context.arguments.status)
    if context.arguments.ready and named and not {_OPEN, filters.ALL_STATUSES} & set(named):
        raise RefusedError("--ready means --status open", code=Code.USAGE, hint="leave out --ready or --status")
    wanted = filters.full_filter(context, **({"statuses": (_OPEN,)} if context.arguments.ready else {}))
    _list_issues(context, replace(wanted, exclude_types=(*wanted.exclude_types, *_hidden(context, wanted))))
    return exits.OK


def _hidden(context: Context, wanted: Filter) -> Iterable[str]:
    """The types that `bd` lists only where they are asked for, by themselves or by a label or an id."""
    if not context.terminal.facts.is_bd or wanted.types or wanted.labels or wanted.ids:
        return
    if not context.arguments.include_gates:
        yield GATE
    if not context.arguments.include_infra:
        yield from as_bd.INFRA_TYPES


def _search(context: Context) -> int:
    if context.arguments.query and context.arguments.text:
        raise RefusedError("there are two queries", code=Code.USAGE, hint="leave out --query or the words")
    query = context.arguments.query or " ".join(context.arguments.text)
    if not query.strip():
        raise RefusedError("nothing to search for", code=Code.USAGE, hint="give a part of a title or of an id")
    page = _list_issues(context, filters.full_filter(context, title_or_id=query.strip()))
    if not (page.issues or context.json or comma_separated(context.arguments.status)):
        note(context, "Closed ones are found only with --status all")
    return exits.OK


def _ready(context: Context) -> int:
    arguments = context.arguments
    if arguments.claim and (arguments.watch or arguments.explain):
        raise RefusedError("--claim stands alone", code=Code.USAGE, hint="without --watch and --explain")
    if arguments.explain and arguments.fields:
        raise RefusedError("--explain has fields of its own", code=Code.USAGE, hint="leave out --explain or --fields")
    if arguments.ttl and not arguments.claim:
        raise RefusedError("--ttl goes with --claim", code=Code.USAGE, hint="add --claim")
    if arguments.mol or arguments.gated:
        return _ready_of_molecules(context)
    if arguments.claim:
        filters.checked_limit(arguments)
        if not (arguments.project or arguments.plane):
            check_whose(context, "or say whose is meant with --project or --plane")
        mine = claim_first(context, filters.basic_filter(context), arguments)
        return _write(
            context, Page(issues=[mine] if mine else [], total=None if mine else 0, truncated=False), lines.READY
        )
    wanted = Ready(
        filter=filters.basic_filter(context),
        sort=arguments.sort,
        limit=filters.checked_limit(arguments),
        include_deferred=arguments.include_deferred,
        include_ephemeral=arguments.include_ephemeral,
        texts=_wants_texts(context),
    )
    if arguments.explain:
        found = explained(context, wanted)
        answer(context, found, explained_lines(context, found))
        return exits.OK
    return _write(context, context.api.call(wanted), lines.READY)


def _ready_of_molecules(context: Context) -> int:
    arguments = context.arguments
    if arguments.claim or arguments.explain or (arguments.mol and arguments.gated):
        raise RefusedError("--mol and --gated stand alone", code=Code.USAGE, hint="without --claim and --explain")
    place = Filter(projects=filters.projects_listed(context), plane=arguments.plane)
    more = arguments.include_deferred or (arguments.include_ephemeral and arguments.gated)
    if more or filters.basic_filter(context) != place:
        raise RefusedError(
            "--mol and --gated take no filters", code=Code.USAGE, hint="`moot ready --parent ID` takes them"
        )
    limit = filters.checked_limit(arguments)
    if arguments.gated:
        return ready_gated(context)
    molecule = Molecule(context, arguments.mol)
    ready = molecule.ready()
    shown = ready[:limit] if limit else ready
    page = Page(issues=shown, total=len(ready), truncated=len(shown) < len(ready))
    if context.json:
        documents.write(context, molecule.ready_steps())
        return exits.OK
    return _write(context, page, lines.READY)


def _blockers(style: Style, issue: IssueDoc) -> str:
    return style.faint("by " + ",".join(map(neutralise, issue.get("blocked_by", ()))))


def _blocked(context: Context) -> int:
    limit = filters.checked_limit(context.arguments)
    wanted = Blocked(filter=filters.basic_filter(context), limit=limit, texts=_wants_texts(context))
    page = context.api.call(wanted)
    return _write(context, page, (*lines.READY, _blockers))


def _children(context: Context) -> int:
    request = Children(id=context.arguments.id, texts=_wants_texts(context))
    return _write(context, context.api.call(request), lines.CHILDREN)


def _count(context: Context) -> int:
    by = context.arguments.by
    counted = context.api.call(Count(filter=filters.full_filter(context), by=by))
    if context.json:
        documents.write(context, counted if by else {"count": counted["total"]})
        return exits.OK
    style = style_of(context.terminal.facts)
    rows = [(str(group["count"]), lines.text_of(group, "group") or "(none)") for group in counted.get("groups", ())]
    total = (str(counted["total"]), "total" if by else "")
    lines.write_lines(context, lines.count_rows(style, [*rows, total]))
    return exits.OK


COMMANDS: Final = (
    Command(
        "list",
        "List issues; closed ones only with --all or --status",
        _list_arguments,
        told(watched(_list)),
        aliases=("ls",),
        examples=("moot list --type bug --priority-max 1", "moot list --all --sort updated --json --fields id,title"),
    ),
    Command(
        "ready",
        "Issues that can be worked on now: nothing blocks them",
        _ready_arguments,
        told(watched(_ready)),
        examples=("moot ready", "moot ready --unassigned --limit 5", "moot ready --claim --json"),
    ),
    Command(
        "blocked",
        "Issues that something blocks, and what",
        _blocked_arguments,
        told(watched(_blocked)),
        examples=("moot blocked", "moot blocked --parent bd-a1b2 --fields id,title"),
    ),
    Command(
        "search",
        "Find issues by a part of the title or the start of an id",
        _search_arguments,
        told(watched(_search)),
        examples=("moot search login", "moot search a1b2 --status all"),
    ),
    Command(
        "children",
        "The direct children of an issue, closed ones too",
        _children_arguments,
        watched(_children),
        examples=("moot children bd-a1b2", "moot children bd-a1b2 --fields id,status"),
    ),
    Command(
        "watch",
        "List issues, drawn again whenever something happens",
        _list_arguments,
        told(lambda context: watch(context, _list)),
        examples=("moot watch", "moot watch --status in_progress --tree"),
        again=ASK_AGAIN,
    ),
    Command(
        "count",
        "Count issues, closed ones too",
        _count_arguments,
        told(_count),
        examples=("moot count --status open", "moot count --by-type"),
    ),
)
"""The commands of this module."""
