"""Why issues are ready or not: ready ones with what they no longer wait for, blocked ones with what they wait for.

In the shape of `bd ready --explain --json`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from moot.console import documents
from moot.console.command import Context
from moot.console.lines import issues as lines
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.issues.edge_types import HOLDING
from moot_protocol.requests.issues import Blocked, Cycles, ListIssues, Ready
from moot_protocol.requests.listing import Filter, IssueDoc, Page

_SHOWN: Final = ("id", "title", "status", "priority", "issue_type", "_alias")


def explained(context: Context, asked: Ready) -> dict[str, Any]:
    """What is ready and what is not, and why; totals are of all, whatever the limit.

    Args:
        context: the command's.
        asked: what is ready; of what is blocked as many are told of.
    """
    held = Blocked(filter=asked.filter, limit=asked.limit)
    ready, blocked = context.api.call(asked), context.api.call(held)
    cycles = [cycle["cycle"] for cycle in context.api.call(Cycles())]
    ids = tuple(dict.fromkeys(blocker for issue in blocked.issues for blocker in issue.get("blocked_by", ())))
    known = context.api.call(ListIssues(filter=Filter(ids=ids), all=True, limit=0)).issues if ids else []
    by_id = {issue["id"]: {name: issue[name] for name in _SHOWN if name in issue} for issue in known}
    return {
        "ready": [_ready(issue) for issue in ready.issues],
        "blocked": [
            documents.without_marks(issue)
            | {"blocked_by": [by_id.get(blocker, {"id": blocker}) for blocker in issue.get("blocked_by", ())]}
            for issue in blocked.issues
        ],
        "cycles": cycles,
        "summary": {
            "total_ready": _total(context, asked, ready),
            "total_blocked": _total(context, held, blocked),
            "cycle_count": len(cycles),
        },
    }


def _total(context: Context, asked: Ready | Blocked, page: Page) -> int:
    """How many issues match: a page that was cut need not know, so then all are asked for."""
    if not page.truncated:
        return len(page.issues)
    return len(context.api.call(replace(asked, limit=0, texts=False)).issues) if page.total is None else page.total


def _ready(issue: IssueDoc) -> dict[str, Any]:
    resolved = [edge["depends_on_id"] for edge in issue.get("dependencies", ()) if edge.get("type") in HOLDING]
    reason = f"{several(len(resolved), 'blocker')} resolved" if resolved else "no blocking dependencies"
    parent = lines.parent_of(issue)
    return (
        documents.without_marks(issue)
        | {"reason": reason, "resolved_blockers": resolved}
        | ({"parent": parent} if parent else {})
    )


def explained_lines(context: Context, found: Mapping[str, Any]) -> Iterator[str]:
    """What is ready and what is not as lines."""
    style = style_of(context.terminal.facts)
    summary = found["summary"]
    yield style.heading(f"Ready ({summary['total_ready']})")
    for issue in found["ready"]:
        yield lines.node_line(style, "  ", issue, note=_reason(issue))
    yield style.heading(f"Blocked ({summary['total_blocked']})")
    for issue in found["blocked"]:
        yield lines.node_line(style, "  ", issue)
        yield from (lines.node_line(style, "    waits for ", blocker) for blocker in issue["blocked_by"])
    for cycle in found["cycles"]:
        yield f"Cycle: {_circle(cycle)}"


def _reason(issue: Mapping[str, Any]) -> str:
    told = ", ".join(map(neutralise, issue["resolved_blockers"]))
    return f"{issue['reason']}: {told}" if told else str(issue["reason"])


def _circle(cycle: Sequence[str]) -> str:
    return " → ".join(map(neutralise, [*cycle, *cycle[:1]]))
