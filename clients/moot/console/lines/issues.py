"""Issues as lines: the tables, plain lines and trees that lists show.

At a terminal: aligned columns, the title last and cut to fit. Elsewhere: one line an issue, `bd-a1b2 P1 bug Title`,
which costs a reader that counts tokens next to nothing beyond the title. Every text goes through `neutralise`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from moot.console.command import Context
from moot.console.documents import encoded, say_left_out
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import LEAST_FLEXIBLE, aligned, cut, width_of
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.requests.listing import IssueDoc, Page

ORIGIN_PART: Final = 5
"""One part in so many of a terminal's width is what an origin takes at most in a table: it gives way before a title."""
_FROM: Final = "from "

Cell = Callable[[Style, IssueDoc], str]
"""How one column is made from an issue."""


def text_of(document: Mapping[str, Any], field: str) -> str:
    """A field as safe text on one line: lists of words with commas, other structures as JSON; empty if it is absent."""
    value = document.get(field)
    if value is None or isinstance(value, str):
        return neutralise(value or "")
    if isinstance(value, list) and all(isinstance(element, str) for element in value):
        return neutralise(",".join(value))
    return neutralise(encoded(value))


def name_of(style: Style, issue: Mapping[str, Any], unique: int = 0, shown: int = 0) -> str:
    """What an issue is called: its alias, else its id as `Style.issue_id` shows it."""
    alias = text_of(issue, "_alias")
    return style.issue_id(alias) if alias else style.issue_id(text_of(issue, "id"), unique, shown)


def town_of(origin: Mapping[str, Any], most: int | None = None) -> str:
    """What to call the town that something comes from: its name, or else how its key begins.

    Args:
        origin: where something comes from.
        most: cells that it takes at most. What stands behind a name to tell it from others called the same stays.
    """
    name, key = text_of(origin, "town_name"), text_of(origin, "town")
    called = key if key and name.startswith(key) else name or key  # some towns have no name but their key
    if most is None:
        return called
    last = called.rpartition(" ")[2]
    apart = f" {last}" if last != called and key.startswith(last) else ""
    return cut(called.removesuffix(apart), most - width_of(apart)) + apart


def origin_mark(document: Mapping[str, Any], most: int | None = None) -> str:
    """`from TOWN` for what another town has written: a comment, an event, an issue that it made or whose title is its.

    Empty for what this town has written. It takes `most` cells at most.
    """
    told, room = document.get("_origin") or (), None if most is None else most - len(_FROM)
    if isinstance(told, Mapping):
        return f"{_FROM}{town_of(told, room)}"
    towns = [town_of(each, room) for each in told if each.get("created") or "title" in each.get("fields", ())]
    mark = f"{_FROM}{', '.join(dict.fromkeys(towns))}" if towns else ""
    return mark if most is None else cut(mark, most)


def origin_cell(style: Style, document: Mapping[str, Any]) -> str:
    """The same for a table, without colours: at a terminal no wider than its part of it."""
    return origin_mark(document, origin_room(style))


def origin_room(style: Style) -> int | None:
    """Cells that an origin takes at most in a table; None where nothing is cut."""
    return style.width // ORIGIN_PART if style.terminal else None


def replicas_of(document: Mapping[str, Any]) -> str:
    """The other towns whose replicas wrote a text, each with the beginning of the replica's key; empty for our own."""
    told = (f"{town_of(each)}, replica {text_of(each, 'replica')}" for each in document.get("_origin", ()))
    return "; ".join(told)


def _origin(style: Style, issue: IssueDoc) -> str:
    mark = origin_cell(style, issue)
    return style.alarm(mark) if mark else ""


def _status(style: Style, issue: IssueDoc) -> str:
    return style.status(text_of(issue, "status"))


def _type(style: Style, issue: IssueDoc) -> str:
    return style.issue_type(text_of(issue, "issue_type"))


def _assignee(style: Style, issue: IssueDoc) -> str:
    assignee = text_of(issue, "assignee")
    return style.faint(f"@{assignee}") if assignee else ""


def _priority(style: Style, issue: IssueDoc) -> str:
    return style.priority(issue.get("priority"))


READY: Final[tuple[Cell, ...]] = (_priority, _type)
LIST: Final[tuple[Cell, ...]] = (_priority, _type, _status, _assignee)
CHILDREN: Final[tuple[Cell, ...]] = (_priority, _type, _status)


def id_cells(style: Style, page: Page) -> list[str]:
    """The ids of a page, cut to what has to be typed; in a table all to the same length.

    One that has to be typed whole, as ids that somebody chose mostly are, doesn't lengthen the others.
    """
    unique = page.short if len(page.short) == len(page.issues) else [0] * len(page.issues)
    cut_short = [count for issue, count in zip(page.issues, unique, strict=True) if count < len(text_of(issue, "id"))]
    shown = max(cut_short, default=0) if style.terminal else 0
    return [name_of(style, issue, count, shown) for issue, count in zip(page.issues, unique, strict=True)]


def issue_rows(style: Style, page: Page, cells: Sequence[Cell]) -> list[str]:
    """A line for each issue: its id, the given cells, from which other town it is if it is, its title."""
    cells = (*cells, _origin) if any("_origin" in issue for issue in page.issues) else cells
    rows = [
        (shown, *(cell(style, issue) for cell in cells), text_of(issue, "title"))
        for shown, issue in zip(id_cells(style, page), page.issues, strict=True)
    ]
    return lines_of(style, rows)


def field_rows(style: Style, page: Page, fields: Sequence[str]) -> list[str]:
    """A line for each issue with the named fields; divided by tabs where it is no terminal, so that none gets lost."""
    rows = [[text_of(issue, field) for field in fields] for issue in page.issues]
    return lines_of(style, rows) if style.terminal else ["\t".join(row) for row in rows]


def count_rows(style: Style, counts: Sequence[tuple[str, str]]) -> list[str]:
    """A line for each number and what it counts."""
    width = max((len(number) for number, _ in counts), default=0) if style.terminal else 0
    return lines_of(style, [(number.rjust(width), name) for number, name in counts])


def lines_of(style: Style, rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as columns at a terminal, the last one cut to fit; as words on a line elsewhere."""
    if style.terminal:
        return aligned(rows, width=style.width)
    return [" ".join(filter(None, row)) for row in rows]


def long_rows(style: Style, page: Page, now_ms: int) -> list[str]:
    """For each issue its line and, below, what else is worth knowing of it."""
    lines: list[str] = []
    for line, issue in zip(issue_rows(style, page, LIST), page.issues, strict=True):
        lines.append(line)
        lines += [f"    {style.faint(detail)}" for detail in _details(issue, now_ms)]
    return lines


def _details(issue: IssueDoc, now_ms: int) -> Iterable[str]:
    times = [
        f"{label} {when.age(moment, now_ms)}"
        for label, field in (("created", "created_at"), ("updated", "updated_at"), ("closed", "closed_at"))
        if (moment := when.instant(issue.get(field))) is not None
    ]
    dates = [
        f"{label} {when.short_date(moment)}"
        for label, field in (("due", "due_at"), ("deferred until", "defer_until"))
        if (moment := when.instant(issue.get(field))) is not None
    ]
    if times or dates:
        yield ", ".join(times + dates)
    if issue.get("labels"):
        yield "labels " + ", ".join(map(neutralise, issue["labels"]))
    edges = [
        f"{neutralise(edge.get('type', ''))} {neutralise(edge.get('depends_on_id', ''))}"
        for edge in issue.get("dependencies", ())
    ]
    if edges:
        yield "depends on " + ", ".join(edges)


def parent_of(issue: IssueDoc) -> str:
    """The id of an issue's parent as its own document tells it, or empty."""
    edges = issue.get("dependencies", ())
    return next((edge["depends_on_id"] for edge in edges if edge.get("type") == PARENT), "")


def tree_rows(style: Style, page: Page) -> list[str]:
    """The page's issues, each below its parent where that is on the page too; every issue exactly once."""
    shown = dict(zip((issue["id"] for issue in page.issues), id_cells(style, page), strict=True))
    children: dict[str, list[IssueDoc]] = {}
    for issue in page.issues:
        parent = parent_of(issue)
        children.setdefault(parent if parent in shown else "", []).append(issue)
    lines: list[str] = []
    told: set[str] = set()
    starts = [*children.get("", ()), *page.issues]  # the second part: what hangs in a cycle of parents
    for start in starts:
        for issue, lead in _walk(start, children, told, style):
            lines.append(node_line(style, lead, issue, shown[issue["id"]]))
    return lines


def _walk(
    start: IssueDoc, children: Mapping[str, Sequence[IssueDoc]], told: set[str], style: Style
) -> Iterable[tuple[IssueDoc, str]]:
    """An issue and what is below it, in order, with what leads its line; issues told of before are left out."""
    pending = [(start, "", "")]
    while pending:
        issue, lead, below = pending.pop()
        if issue["id"] in told:
            continue
        told.add(issue["id"])
        yield issue, lead
        inner = [child for child in children.get(issue["id"], ()) if child["id"] not in told]
        pending.extend(
            (child, *branch(style, below, last=place == len(inner) - 1))
            for place, child in reversed(list(enumerate(inner)))
        )


def branch(style: Style, lead: str, *, last: bool) -> tuple[str, str]:
    """What leads the line of a child in a tree, and what leads the lines below it."""
    if not style.terminal:
        return lead + "  ", lead + "  "
    return (lead + "\u2514\u2500 ", lead + "   ") if last else (lead + "\u251c\u2500 ", lead + "\u2502  ")


def node_line(style: Style, lead: str, issue: IssueDoc, shown: str = "", *, note: str = "") -> str:
    """The line of an issue in a tree or among its neighbours.

    Args:
        style: how to write.
        lead: what stands before it.
        issue: its document; one without a status is known by its id only.
        shown: its id as `id_cells` makes it, if it isn't told by the document's own `_short`.
        note: said after the title.
    """
    shown = shown or name_of(style, issue, issue.get("_short", 0))
    tail = f" ({note})" if note else ""
    status = text_of(issue, "status")
    if not status:
        return f"{style.faint(lead)}{shown}{tail}"
    words = [shown, *(cell(style, issue) for cell in (*READY, _origin))]
    words = [style.mark(status), *words] if style.terminal else [*words, status]
    told = " ".join(filter(None, words))
    title = text_of(issue, "title")
    if style.terminal:
        title = cut(title, max(style.width - width_of(lead + told + tail) - 1, LEAST_FLEXIBLE))
    return f"{style.faint(lead)}{told} {title}{tail}"


def write_lines(context: Context, lines: Sequence[str]) -> None:
    """Write lines to standard output, in one piece."""
    if lines:
        context.terminal.out("\n".join(lines) + "\n")


def write_issues(context: Context, page: Page, lines: Sequence[str]) -> None:
    """Write the lines of a page; that it is empty, or not all, is said on standard error."""
    write_lines(context, lines)
    if not page.issues:
        context.terminal.err("no issues match\n")
    say_left_out(context, page)
