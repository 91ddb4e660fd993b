"""stats: a project's totals, and what is still to be done: whose it is, of which types and priorities.

Nothing here takes longer for every issue that is closed: keys tell the daemon nearly all of it. Types stand in the
issues alone, so they are counted where few enough are to be read; where they are left out, it is said how to get them.
"""

import shlex
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.command import Command, Context
from moot.console.lines import issues as lines
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.requests.issues import Count, ListIssues, Ready, Stats
from moot_protocol.requests.listing import Filter

MOST_ASSIGNEES: Final = 20
"""Names that lines tell; documents have all of them."""
MOST_READ: Final = 20_000
"""Issues not closed whose types are counted."""
_TOTALS: Final = (
    "total", "ready", "open", "in_progress", "blocked", "deferred", "closed", "pinned", "epics_closable",
)  # fmt: skip
_TOLD_STATUSES: Final = frozenset({"open", "in_progress", "deferred", "closed"})
"""Statuses that totals tell by themselves: what they call blocked and pinned is no status."""

Rows = list[tuple[str, str]]
"""Numbers, each with what it counts."""


class Report(NamedTuple):
    """What is to be told of the issues that aren't closed, most frequent first but for priorities."""

    assignees: Mapping[str, int]
    """Empty stands for nobody."""
    types: Mapping[str, int] | None
    """None where they would take too long to count."""
    priorities: Mapping[int, int]
    updated_at: str
    """When any issue was changed last, closed ones included, as documents have times; empty where there is none."""

    @property
    def total(self) -> int:
        """How many they are."""
        return sum(self.priorities.values())

    @property
    def average_priority(self) -> float | None:
        """None where there are none."""
        weighed = sum(priority * count for priority, count in self.priorities.items())
        return weighed / self.total if self.total else None

    def document(self) -> dict[str, Any]:
        """It as `--json` has it, beside what `bd` tells."""
        average = self.average_priority
        not_closed = {
            "total": self.total,
            "assignees": _pairs("assignee", self.assignees),
            "types": None if self.types is None else _pairs("type", self.types),
            "priorities": _pairs("priority", self.priorities),
            "average_priority": None if average is None else round(average, 3),
        }
        return {"not_closed": not_closed, "last_update": self.updated_at or None}


def _pairs(name: str, counts: Mapping[Any, int]) -> list[dict[str, Any]]:
    return [{name: group, "count": count} for group, count in counts.items()]


def _arguments(parser: ArgumentParser) -> None:
    filters.add_place(parser)
    parser.add_argument("--assigned", action="store_true", help="only what you hold")
    for flag in ("--all", "--no-activity"):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: this is what is told anyway")


def _stats(context: Context) -> int:
    projects, plane = filters.projects_listed(context), context.arguments.plane
    place = Filter(projects=projects, plane=plane, assignee=context.actor if context.arguments.assigned else "")
    if context.arguments.assigned:
        totals = _totals_of(context, place)
    else:
        totals = context.api.call(Stats(projects=projects, plane=plane))
    report = _report(context, place)
    if context.json:
        documents.write(context, documents.statistics(totals) | report.document())
        if report.types is None:
            context.terminal.err(f"{_types_left_out(context, report)}\n")
    else:
        lines.write_lines(context, list(_lines(context, _rows(context, place, totals), report)))
    return exits.OK


def _report(context: Context, place: Filter) -> Report:
    priorities = _counted(context, place, "priority")
    is_small = sum(priorities.values()) <= MOST_READ
    latest = context.api.call(ListIssues(filter=place, all=True, sort="updated", limit=1)).issues
    return Report(
        assignees=_frequent_first(_counted(context, place, "assignee")),
        types=_frequent_first(_counted(context, place, "type")) if is_small else None,
        priorities=priorities,
        updated_at=str(latest[0].get("updated_at", "")) if latest else "",
    )


def _counted(context: Context, place: Filter, by: str, *, closed: bool = False) -> dict[Any, int]:
    groups = context.api.call(Count(filter=place, all=closed, by=by))["groups"]
    return {group["group"]: group["count"] for group in groups}


def _frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _totals_of(context: Context, place: Filter) -> dict[str, Any]:
    """Totals of some of a project's issues."""
    by_status = _counted(context, place, "status", closed=True)
    ready = len(context.api.call(Ready(filter=place, limit=0)).issues)
    return {**by_status, "total": sum(by_status.values()), "ready": ready}


def _rows(context: Context, place: Filter, totals: Mapping[str, Any]) -> Rows:
    rows = [(str(totals.get(name, 0)), name.replace("_", " ")) for name in _TOTALS]
    told_of = _TOTALS if context.arguments.assigned else _TOLD_STATUSES
    others = _counted(context, place, "status", closed=True).items()
    rows += [(str(count), f"of status {neutralise(name)}") for name, count in others if name not in told_of]
    if totals.get("lead_time_hours"):
        rows.append((f"{totals['lead_time_hours']:.0f}", "hours from created to closed on average"))
    return rows


def _lines(context: Context, totals: Rows, report: Report) -> Iterator[str]:
    """All of it, numbers in one column."""
    types = {} if report.types is None else report.types
    sections = [
        ("", totals),
        ("Not closed, by who holds it:", _assignee_rows(report.assignees)),
        ("Not closed, by type:", [(str(count), neutralise(name)) for name, count in types.items()]),
        ("Not closed, by priority:", [(str(count), f"P{priority}") for priority, count in report.priorities.items()]),
    ]
    told = iter(lines.count_rows(style_of(context.terminal.facts), [row for _, rows in sections for row in rows]))
    for heading, rows in sections:
        if heading and rows:
            yield from ("", heading)
        yield from (next(told) for _ in rows)
    yield from _last_lines(context, report)


def _types_left_out(context: Context, report: Report) -> str:
    """That the types aren't told, why, and the command that tells them of the same issues."""
    given = context.arguments
    words = [context.terminal.facts.program, "count", "--by-type"]
    words += [word for project in given.project or () for word in ("--project", project)]
    words += ["--plane", given.plane] if given.plane else []
    words += ["--assignee", context.actor] if given.assigned else []
    why = f"each of the {report.total:,} issues would have to be read for them"
    return f"Types left out: {why}, which `{neutralise(shlex.join(words))}` does"


def _assignee_rows(assignees: Mapping[str, int]) -> Rows:
    held: Sequence[tuple[str, int]] = [(name, count) for name, count in assignees.items() if name]
    rows = [(str(count), neutralise(name)) for name, count in held[:MOST_ASSIGNEES]]
    if others := held[MOST_ASSIGNEES:]:
        rows.append((str(sum(count for _, count in others)), f"{len(others):,} others"))
    return [*rows, (str(assignees[""]), "nobody")] if "" in assignees else rows


def _last_lines(context: Context, report: Report) -> Iterator[str]:
    told = (
        []
        if report.average_priority is None
        else [f"Average priority of what isn't closed: {report.average_priority:.2f}"]
    )
    if report.types is None:
        told.append(_types_left_out(context, report))
    updated = when.instant(report.updated_at)
    if updated is not None:
        told.append(f"Last update: {when.short_date(updated)} UTC, {when.age(updated, context.now_ms)}")
    if told:
        yield from ("", *told)


COMMANDS: Final = (
    Command(
        "stats",
        "Totals of the project, and who holds what isn't closed",
        _arguments,
        _stats,
        examples=("moot stats", "moot stats --assigned --json  # of what you hold"),
    ),
)
"""The commands of this module."""
