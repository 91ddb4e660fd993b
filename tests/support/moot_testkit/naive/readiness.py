"""Readiness computed from its definition, all issues at once: plain, slow, and obviously right.

Nothing here is shared with the engine: it is what the engine's counters and indexes must equal.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

I = TypeVar("I", bound=Hashable)  # noqa: E741  # what issues are called: ids or numbers

BLOCKING = ("blocks", "conditional-blocks")
SETTLED = ("closed", "pinned")
EXCLUDED_TYPES = ("merge-request", "gate", "molecule", "message", "agent", "role", "rig")


class NaiveEdge(NamedTuple, Generic[I]):
    """A dependency of an issue."""

    target: I
    type: str
    rank: Any
    """Place in the order in which edges are taken."""
    any_child: bool = False
    """The gate of a `waits-for` edge."""


@dataclass
class NaiveIssue(Generic[I]):
    """What readiness depends on."""

    status: str = "open"
    pinned: bool = False
    issue_type: str = "task"
    ephemeral: bool = False
    defer_ms: int = 0
    edges: list[NaiveEdge[I]] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether it neither blocks nor is blocked."""
        return self.status in SETTLED

    @property
    def is_to_do(self) -> bool:
        """Whether its status lets it be ready: what is put off has a time when that ends."""
        return self.status == "open" or (self.status == "deferred" and self.defer_ms > 0)


class Naive(Generic[I]):
    """The readiness of a set of issues; those that are deleted or never came are simply not in it."""

    def __init__(self, issues: Mapping[I, NaiveIssue[I]]) -> None:
        self.issues = issues
        self.left_out = self._left_out()
        self.blocked = self._blocked()

    def edges(self, *types: str) -> list[tuple[I, NaiveEdge[I]]]:
        """(source, edge) of all edges of these types."""
        return [(source, edge) for source, it in self.issues.items() for edge in it.edges if edge.type in types]

    def _left_out(self) -> set[tuple[I, I, str]]:
        """Blocking edges that close a cycle with earlier ones that were kept, and with parent-child edges."""
        kept = [(source, edge.target) for source, edge in self.edges("parent-child")]
        left_out = set()
        for source, edge in sorted(self.edges(*BLOCKING), key=lambda pair: pair[1].rank):
            if source in self._reached(edge.target, kept):
                left_out.add((source, edge.target, edge.type))
            else:
                kept.append((source, edge.target))
        return left_out

    @staticmethod
    def _reached(start: I, edges: list[tuple[I, I]]) -> set[I]:
        reached = {start}
        while more := {target for source, target in edges if source in reached} - reached:
            reached |= more
        return reached

    def holds_up(self, target: I) -> bool:
        """Whether something blocks what depends on it."""
        return target in self.issues and not self.issues[target].is_settled

    def blockers(self, source: I) -> list[I]:
        """What blocks an issue by itself, once for each edge."""
        return [
            edge.target
            for edge in self.issues[source].edges
            if edge.type in BLOCKING
            and (source, edge.target, edge.type) not in self.left_out
            and self.holds_up(edge.target)
        ]

    def parents(self, source: I) -> list[I]:
        """The targets of an issue's parent edges, whether they exist or not."""
        return [edge.target for edge in self.issues[source].edges if edge.type == "parent-child"]

    def waits(self, source: I) -> list[I]:
        """The spawners that an issue waits for, once for each edge."""
        found = []
        for edge in self.issues[source].edges:
            if edge.type == "waits-for" and edge.target in self.issues:
                children = [self.issues[child] for child in self.issues if edge.target in self.parents(child)]
                closed = [child.status == "closed" for child in children]
                if not all(closed) and not (edge.any_child and any(closed)):
                    found.append(edge.target)
        return found

    def _blocked(self) -> set[I]:
        """The least fixpoint: begin with nothing blocked, and add what must be."""
        blocked: set[I] = set()
        while True:
            more = {
                source
                for source, it in self.issues.items()
                if not it.is_settled
                and (self.blockers(source) or self.waits(source) or blocked.intersection(self.parents(source)))
            }
            if more == blocked:
                return blocked
            blocked = more

    def until_ms(self, source: I) -> int:
        """When an issue's own deferral and those of its direct parents have passed."""
        parents = [self.issues[parent].defer_ms for parent in self.parents(source) if parent in self.issues]
        return max(self.issues[source].defer_ms, *parents, 0)

    def is_candidate(self, source: I) -> bool:
        """Whether an issue is ready but for its time, its type and its being ephemeral."""
        it = self.issues[source]
        return it.is_to_do and not it.pinned and source not in self.blocked

    def ready(self, now_ms: int) -> set[I]:
        """What `ready` shows by default."""
        return {
            source
            for source, it in self.issues.items()
            if self.is_candidate(source)
            and self.until_ms(source) <= now_ms
            and not it.ephemeral
            and it.issue_type not in EXCLUDED_TYPES
        }
