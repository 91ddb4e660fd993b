"""What may be wrong with a project's issues: edges that lead nowhere or up to a parent, copies, left-overs of tests.

Everything here reads documents and guesses; nothing is changed by it. A guess says why it was made.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.issues.edge_types import BLOCKING, EXTERNAL, PARENT
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.listing import IssueDoc

SURE: Final = 0.9
"""From this score on an issue is taken for a test's: only those are ever deleted."""
SUSPECT: Final = 0.7
_TEST_WORD: Final = re.compile(r"(test|tests|testing|benchmark|sample|dummy|tmp|temp|debug)\b[\s:_-]*", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"(issue|item|task|bug)?[\s#_-]*\d+", re.IGNORECASE)
_CONTENT: Final = ("title", "description", "design", "acceptance_criteria", "status")


class BadEdge(NamedTuple):
    """An edge that leads nowhere, or by which an issue waits for ever."""

    issue_id: str
    depends_on_id: str
    type: str


class Leftover(NamedTuple):
    """An issue that looks like one a test has made."""

    issue: IssueDoc
    score: float
    reasons: tuple[str, ...]


def waiting_for_parents(issues: Sequence[IssueDoc]) -> list[BadEdge]:
    """The edges by which an issue waits for what it is part of, at any distance: it is never ready.

    Args:
        issues: all issues, with their `dependencies`.
    """
    edges = {issue["id"]: [_edge(issue, edge) for edge in issue.get("dependencies", ())] for issue in issues}
    found = []
    for name, own in edges.items():
        blockers = [edge for edge in own if edge.type in BLOCKING]
        above = _above(name, edges) if blockers else set()
        found += [edge for edge in blockers if edge.depends_on_id in above]
    return found


def _above(name: str, edges: Mapping[str, Sequence[BadEdge]]) -> set[str]:
    above: set[str] = set()
    queue = [name]
    for current in queue:
        for edge in edges.get(current, ()):
            if edge.type == PARENT and edge.depends_on_id not in above:
                above.add(edge.depends_on_id)
                queue.append(edge.depends_on_id)
    return above


def _edge(issue: IssueDoc, edge: Mapping[str, Any]) -> BadEdge:
    return BadEdge(issue["id"], str(edge["depends_on_id"]), str(edge.get("type", "")))


def dangling(issues: Sequence[IssueDoc], is_known: Callable[[str], bool]) -> list[BadEdge]:
    """The edges that lead to no issue.

    Args:
        issues: all issues, with their `dependencies`.
        is_known: whether an issue that is not among them exists all the same, in another project say.
    """
    known = {issue["id"] for issue in issues}
    found = []
    for issue in issues:
        for edge in issue.get("dependencies", ()):
            bad = _edge(issue, edge)
            target = bad.depends_on_id
            if target not in known and not target.startswith(EXTERNAL) and not is_known(target):
                found.append(bad)
    return found


def copies(issues: Iterable[IssueDoc]) -> list[list[str]]:
    """Ids of open issues with the same content, group by group."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for issue in issues:
        if issue["status"] != CLOSED:
            groups.setdefault(tuple(str(issue.get(name, "")) for name in _CONTENT), []).append(issue["id"])
    return [sorted(ids) for ids in groups.values() if len(ids) > 1]


def leftovers(issues: Sequence[IssueDoc]) -> list[Leftover]:
    """The issues that look like a test's, surest first. What others refer to, or has been talked about, is spared."""
    referred = {edge["depends_on_id"] for issue in issues for edge in issue.get("dependencies", ())}
    found = [_judged(issue) for issue in issues if not _is_real(issue, referred)]
    sure_first = sorted(found, key=lambda each: (-each.score, each.issue["id"]))
    return [each for each in sure_first if each.score >= SUSPECT]


def _is_real(issue: Mapping[str, Any], referred: set[str]) -> bool:
    return bool(issue["id"] in referred or issue.get("dependencies") or issue.get("comments") or issue.get("assignee"))


def _judged(issue: IssueDoc) -> Leftover:
    title = str(issue.get("title", ""))
    word = _TEST_WORD.match(title)
    if word is None:
        return Leftover(issue, 0.0, ())
    score, reasons = SUSPECT, [f"title begins with {word[1].lower()!r}"]
    if _NUMBERED.fullmatch(title[word.end() :].strip()):
        score, reasons = score + 0.2, [*reasons, "title ends in a number"]
    if not str(issue.get("description", "")).strip():
        score, reasons = score + 0.1, [*reasons, "no description"]
    return Leftover(issue, round(min(score, 1.0), 2), tuple(reasons))
