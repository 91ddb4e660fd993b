"""What the Python clients answer with: issues, comments, dependencies, totals and events as typed values.

Names and texts are those of the documents, which are Beads' (`moot_protocol.requests`). Times are RFC 3339 text, kept
exactly as an import may have brought them; what a document left out is empty here. Fields of a later release are passed
over, and none of these values changes once it is made.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from moot_protocol.errors import MalformedError
from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.requests.listing import IssueDoc, Page

T = TypeVar("T")


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """That an issue hangs on another."""

    issue_id: str
    depends_on_id: str
    type: str = BLOCKS
    created_at: str = ""
    created_by: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Which other town has written something: whatever stands there is foreign until somebody here accepts it."""

    town: str
    """How its key begins: what nobody can choose."""
    town_name: str = ""
    """What it is called, a part of its key behind it where another is called the same; empty where nobody has said."""
    replica: str = ""
    """How the key of the machine that wrote it begins."""
    fields: tuple[str, ...] = ()
    """Of an issue: the fields that hold its words."""
    created: bool = False
    """Of an issue: whether it was made there."""


class Comment(msgspec.Struct, frozen=True, kw_only=True, rename={"origin": "_origin"}):
    """A comment on an issue."""

    id: str | int = ""
    issue_id: str = ""
    author: str = ""
    text: str = ""
    created_at: str = ""
    origin: Origin | None = None
    """The other town that it comes from; None for one of this town."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Until when somebody holds an issue, where the claim ends by itself."""

    holder: str
    expires_at: str
    ttl_seconds: int = 0
    """How long it holds from each renewal."""


class Issue(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "is_blocked": "_blocked", "unblocked": "_unblocked", "conflicts": "_conflicts", "missing": "_missing",
        "erased": "_erased", "unique_chars": "_short", "origin": "_origin", "alias": "_alias", "claim": "_claim",
        "is_unchanged": "_unchanged", "finished": "_finished",
    },
):  # fmt: skip
    """An issue. Lists leave out texts and comments; `show` has everything."""

    id: str
    title: str = ""
    description: str = ""
    design: str = ""
    acceptance_criteria: str = ""
    notes: str = ""
    spec_id: str = ""
    status: str = "open"
    priority: int = 2
    """0 (most urgent) to 4."""
    issue_type: str = "task"
    assignee: str = ""
    owner: str = ""
    estimated_minutes: int | None = None
    created_at: str = ""
    created_by: str = ""
    updated_at: str = ""
    started_at: str = ""
    closed_at: str = ""
    close_reason: str = ""
    closed_by_session: str = ""
    due_at: str = ""
    defer_until: str = ""
    external_ref: str = ""
    compaction_level: int = 0
    ephemeral: bool = False
    pinned: bool = False
    metadata: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    """What it hangs on."""
    dependents: "tuple[Issue, ...]" = ()
    """What hangs on it, in `show`: short documents with a `dependency_type`."""
    dependency_type: str = ""
    """Of an issue among the dependents of another: how it hangs on that one."""
    comments: tuple[Comment, ...] = ()
    deleted_at: str = ""
    """Of a deleted issue, whose status is `tombstone`; so the next three."""
    deleted_by: str = ""
    delete_reason: str = ""
    original_type: str = ""
    alias: str = ""
    """What it is called beside its id."""
    claim: Claim | None = None
    """Until when it is held; None where nobody holds it, or without an end."""
    is_unchanged: bool = False
    """Whether all was so already, in the answer to a write."""
    blocked_by: tuple[str, ...] = ()
    """Ids of what blocks it, in `blocked`."""
    is_blocked: bool = False
    """Whether something open blocks it, in `show`."""
    unblocked: tuple[str, ...] = ()
    """Ids that became ready because it was closed, in the answer to that."""
    finished: tuple[str, ...] = ()
    """Ids of the molecules that were closed with it, because it was the last of their steps."""
    conflicts: tuple[str, ...] = ()
    """Fields whose concurrent values disagree, in `show`."""
    missing: tuple[str, ...] = ()
    """Fields some of whose values aren't here, in `show`."""
    erased: tuple[str, ...] = ()
    """Those of them that were erased, and are not just withheld."""
    origin: tuple[Origin, ...] = ()
    """Which replicas of other towns have written what of it; empty where all is this town's."""
    unique_chars: int = 0
    """How many leading characters of its id suffice to name it, in `show`."""


class Issues(msgspec.Struct, frozen=True, kw_only=True):
    """Some issues in an order. It can be iterated over, counted and indexed."""

    issues: tuple[Issue, ...]
    total: int | None
    """How many match in all, where that was cheap to know; else None."""
    truncated: bool
    """Whether more match than are here."""

    def __iter__(self) -> Iterator[Issue]:
        return iter(self.issues)

    def __len__(self) -> int:
        return len(self.issues)

    def __getitem__(self, place: int) -> Issue:
        return self.issues[place]


class Apart(msgspec.Struct, frozen=True, kw_only=True, rename={"origin": "_origin"}):
    """One of the texts that were written at the same time, unseen by one another."""

    value: str | None = None
    """The text; empty for a taking away, None for what isn't here."""
    actor: str = ""
    at: int = 0
    """When its writer's clock says it was written, in milliseconds since 1970."""
    author: str = ""
    """The key of the replica that wrote it."""
    n: int = 0
    """Its number in that replica's feed."""
    origin: Origin | None = None
    """The other town that it comes from; None for one of this town."""


class Memory(msgspec.Struct, frozen=True, kw_only=True, rename={"origin": "_origin"}):
    """What a project remembers under a key."""

    key: str
    text: str
    updated_at: int = 0
    """In milliseconds since 1970."""
    foreign: bool = False
    """Whether some of it was written in another town, and nobody of this one has written over it since."""
    conflict: bool = False
    """Whether concurrent texts disagree."""
    values: tuple[Apart, ...] = ()
    """Of a conflict all of them, the one that `text` shows among them."""
    origin: tuple[Origin, ...] = ()
    """Which machines of which other towns wrote it."""


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of a project."""

    total: int = 0
    open: int = 0
    in_progress: int = 0
    closed: int = 0
    blocked: int = 0
    deferred: int = 0
    ready: int = 0
    pinned: int = 0
    epics_closable: int = 0
    lead_time_hours: float = 0.0
    """The mean time from created to closed."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Who erased a value, and when."""

    actor: str
    author: str
    """The key of the replica that did."""
    at: int
    """When its clock says it was, in milliseconds since 1970."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an event does to one field: it writes a value, or takes one out."""

    field: str
    value: Any = None
    removed: Any = None
    """The value taken out, or True where it isn't known; None where none is."""
    missing: bool = False
    """Whether the value written isn't here."""
    erased: bool = False
    """Whether that is since it was erased."""
    erased_by: Erasure | None = None
    """By whom, where that is known."""


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """That several claimed one issue without sight of one another, and how it came out, as of now."""

    holder: str
    lost: tuple[str, ...] = ()
    """The others."""


class Event(msgspec.Struct, frozen=True, kw_only=True, rename={"origin": "_origin"}):
    """One immutable change to one entity, as it stands in the log."""

    arrival: int
    """Its number in the order in which events came to this replica: where to go on after it."""
    kind: str
    """What it speaks of: `issue`, `memory`…"""
    entity: str
    """The id of what it speaks of."""
    actor: str = ""
    at: int = 0
    """When its writer's clock says it was made, in milliseconds since 1970."""
    author: str = ""
    """The key of the replica that wrote it."""
    n: int = 0
    """Its number in that replica's feed."""
    own: bool = False
    """Whether that replica is this machine's."""
    changes: tuple[Change, ...] = ()
    origin: Origin | None = None
    """The other town that it comes from; None for one of this town."""
    contested: Contest | None = None
    """Of a claim: whether others made it too."""


def issue_of(document: IssueDoc) -> Issue:
    """An issue from its document.

    Raises:
        MalformedError: it is none.
    """
    return _typed(document, Issue, "an issue")


def issues_of(page: Page) -> Issues:
    """A page of issues. Raises as `issue_of`."""
    return Issues(issues=tuple(map(issue_of, page.issues)), total=page.total, truncated=page.truncated)


def comment_of(document: dict[str, Any]) -> Comment:
    """A comment from its document. Raises as `issue_of`."""
    return _typed(document, Comment, "a comment")


def memory_of(document: dict[str, Any]) -> Memory:
    """A memory from its document. Raises as `issue_of`."""
    return _typed(document, Memory, "a memory")


def stats_of(document: dict[str, Any]) -> Stats:
    """Totals from the daemon's answer. Raises as `issue_of`."""
    return _typed(document, Stats, "totals")


def event_of(document: dict[str, Any]) -> Event:
    """An event from the daemon's answer. Raises as `issue_of`."""
    return _typed(document, Event, "an event")


def _typed(document: dict[str, Any], shape: type[T], what: str) -> T:
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise MalformedError(f"the daemon's answer is not {what} as this release knows it: {error}") from error
