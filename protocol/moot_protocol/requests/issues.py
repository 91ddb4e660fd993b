"""Requests about projects and their issues, as typed values: RPC, the console and programs share them.

A request class names its method and says what its answer is: `Request[R]` is answered with an `R`. Answers are plain
data (what JSON and MessagePack can hold). An issue document has the field names and shapes of Beads' JSONL lines,
empty fields left out; fields of Moot's own start with an underscore.

Ids in requests are what people type: a whole id, or the start of one that is unique (`ids.py`), and `PLANE:ID` where
planes have an id in common; else `not_found` or `ambiguous`. A plane is named by its name, or by the beginning of its
id in hexadecimal. What an edge leads to may also be `external:…`, which stands for itself. Answers hold whole ids.
"""

from typing import Any

import msgspec

from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.limits import LIST_LIMIT, READY_LIMIT
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.listing import Filter, IssueDoc, Json, Page


class Edge(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A dependency to be made: the issue it hangs on is given beside it."""

    to: str
    type: str = BLOCKS
    metadata: str = ""


class IssueFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Fields of an issue that can be set; `UNSET` ones stay as they are, empty ones are cleared."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    design: str | msgspec.UnsetType = msgspec.UNSET
    acceptance_criteria: str | msgspec.UnsetType = msgspec.UNSET
    notes: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    issue_type: str | msgspec.UnsetType = msgspec.UNSET
    assignee: str | msgspec.UnsetType = msgspec.UNSET
    owner: str | msgspec.UnsetType = msgspec.UNSET
    estimated_minutes: int | msgspec.UnsetType = msgspec.UNSET
    due_at: str | msgspec.UnsetType = msgspec.UNSET
    defer_until: str | msgspec.UnsetType = msgspec.UNSET
    external_ref: str | msgspec.UnsetType = msgspec.UNSET
    spec_id: str | msgspec.UnsetType = msgspec.UNSET
    close_reason: str | msgspec.UnsetType = msgspec.UNSET
    ephemeral: bool | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET


# -- Towns and projects ------------------------------------------------------------------------------------------
class InitTown(Request[dict[str, Any]], kw_only=True):
    """Make this machine's town if there is none: keys, planes, charters, certificates.

    Answers `{"created": bool, "town": key text, "replica": key text, "planes": [{"name", "plane"}],
    "recovery_words": str}`; the words are there only when it was created, and never again.
    """

    method = "init_town"
    writes = True
    name: str = ""
    dry_run: bool = False
    """Answer as if done, without the words, but make nothing."""


class InitProject(Mutation[dict[str, Any]], kw_only=True):
    """Open a project for a workspace; one that is open already is joined.

    Answers `{"project", "workspace", "created"}`.
    Raises `ambiguous` where several planes have it, `conflict` where it belongs to another plane than the one named.
    """

    method = "init_project"
    prefix: str
    workspace: str = ""
    """The workspace's opaque id; empty: the daemon makes one."""
    folder: str = ""
    """Where the workspace lies, for people to read in `status`."""
    plane: str = ""
    """The plane that a new project goes to; empty: the machine's first ledger."""


class WorkspaceInfo(Request[dict[str, Any] | None], kw_only=True):
    """What is known of a workspace: `{"project", "folder", "plane"}`, or None; `plane` is its id in hexadecimal.

    For a named actor also `"claims"`, where some of theirs made on this machine want attention: `{"lost": [{"id",
    "holder"}], "due": n}`, those that others have now, and how many should be renewed.
    """

    method = "workspace_info"
    workspace: str
    actor: str = ""


# -- Issues: writing ---------------------------------------------------------------------------------------------
class Create(Mutation[IssueDoc], kw_only=True):
    """Create an issue; answers the new issue's document."""

    method = "create"
    project: str
    plane: str = ""
    """The plane it belongs to, where several have a project of this name."""
    fields: IssueFields
    id: str = ""
    """An id of the caller's own instead of a random one; must be free."""
    labels: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    parent: str = ""
    metadata: dict[str, Json] = {}
    inherit_labels: bool = True
    """With a parent: take over its labels."""


class Update(Mutation[IssueDoc], kw_only=True):
    """Change an issue; answers its document. All of it so already: no change, and the answer is `_unchanged`."""

    method = "update"
    id: str
    fields: IssueFields = msgspec.field(default_factory=IssueFields)
    claim: bool = False
    """Set assignee to the actor and status to in_progress if nobody else holds it, as one step; else `lost_race`."""
    ttl_ms: int = 0
    """With `claim`: how long it holds unless it is renewed, in milliseconds; 0: until it is given back."""
    unless_closed: bool = False
    """Leave a closed issue alone: `conflict`."""
    append_notes: str = ""
    add_labels: tuple[str, ...] = ()
    remove_labels: tuple[str, ...] = ()
    set_labels: tuple[str, ...] | None = None
    set_metadata: dict[str, Json] = {}
    unset_metadata: tuple[str, ...] = ()
    parent: str | None = None
    """A new parent; empty to have none."""


class Close(Mutation[IssueDoc], kw_only=True):
    """Close an issue; answers its document with `_unblocked`: what became ready. Closed already: `_unchanged`, too.

    Where it was the last step of molecules, these are closed with it: `_finished` has their ids, as in an `Update`'s
    answer.
    """

    method = "close"
    id: str
    reason: str = ""
    session: str = ""
    force: bool = False
    """Close although something open blocks it; else `conflict`."""


class Reopen(Mutation[IssueDoc], kw_only=True):
    """Open a closed issue again; a reason becomes a comment. Not closed: no change, and the answer is `_unchanged`."""

    method = "reopen"
    id: str
    reason: str = ""


class Delete(Mutation[IssueDoc], kw_only=True):
    """Delete an issue: it leaves every list, and undelete brings all back. Deleted already: answers `_unchanged`."""

    method = "delete"
    id: str
    reason: str = ""


class Undelete(Mutation[IssueDoc], kw_only=True):
    """Bring a deleted issue back. Not deleted: no change, and the answer is `_unchanged`."""

    method = "undelete"
    id: str


class AddEdge(Mutation[dict[str, Any]], kw_only=True):
    """Make an issue depend on another.

    Refused with `conflict` where it would close a cycle of blockers that is known here. Answers
    `{"issue_id", "depends_on_id", "type", "created": bool}`.
    """

    method = "add_edge"
    id: str
    edge: Edge
    check_cycles: bool = True


class RemoveEdge(Mutation[dict[str, Any]], kw_only=True):
    """Remove a dependency (of every type if none is given). Answers `{"issue_id", "depends_on_id", "removed": n}`."""

    method = "remove_edge"
    id: str
    to: str
    type: str = ""
    may_be_missing: bool = False
    """Answer `"removed": 0` where there is no such dependency; else that is `not_found`."""


class AddComment(Mutation[dict[str, Any]], kw_only=True):
    """Comment on an issue; answers `{"id", "issue_id", "author", "text", "created_at"}`."""

    method = "add_comment"
    id: str
    text: str


class Resolve(Mutation[IssueDoc], kw_only=True):
    """Settle a conflict: write one value over all siblings of a field.

    `pick` is the number of a value as `conflicts` lists them, from 1, or its name there; or `value` is a new one.
    """

    method = "resolve"
    id: str
    field: str
    pick: int | str | None = None
    value: Json = None


class Script(Mutation[list[Any]], kw_only=True):
    """Several mutations, all or nothing; answers their answers in order.

    `steps` are encoded mutations, each `{"method": …, "params": {…}, "label": …}`, without actor and dry_run, which
    are the script's; `scripts.py` lists the methods. An id `$1` stands for the issue that the first step made, and so
    on, wherever an id can stand (an edge's `to` and a `parent` too). The error of a step that fails begins with the
    step's label and a colon.
    """

    method = "script"
    steps: tuple[dict[str, Any], ...]


# -- Issues: reading ---------------------------------------------------------------------------------------------
class ListIssues(Request[Page], kw_only=True):
    """Issues in an order. `sort` is one of priority, created, updated, closed, status, id, title, type, assignee.

    Unless statuses are named, closed ones are left out. `texts` adds description, design, notes, acceptance criteria
    and comments, and `dependency_count`, `dependent_count`, `comment_count`.
    """

    method = "list"
    filter: Filter = msgspec.field(default_factory=Filter)
    all: bool = False
    sort: str = "priority"
    reverse: bool = False
    limit: int = LIST_LIMIT
    """0: all."""
    texts: bool = False


class Ready(Request[Page], kw_only=True):
    """Issues that can be worked on now. `sort` is one of priority, oldest, hybrid."""

    method = "ready"
    filter: Filter = msgspec.field(default_factory=Filter)
    sort: str = "priority"
    limit: int = READY_LIMIT
    include_deferred: bool = False
    """What is deferred, too, until some time or without saying until when."""
    include_ephemeral: bool = False
    texts: bool = False


class Blocked(Request[Page], kw_only=True):
    """Issues that something blocks; documents have `blocked_by` (ids) and `blocked_by_count`."""

    method = "blocked"
    filter: Filter = msgspec.field(default_factory=Filter)
    limit: int = READY_LIMIT
    texts: bool = False


class Show(Request[list[IssueDoc]], kw_only=True):
    """Issues in full: texts and comments; where there are any, `dependents` (short documents with `dependency_type`).

    Besides `_conflicts` (fields whose values disagree), `_missing` (fields some of whose values aren't here), `_erased`
    (those of them that were erased, and aren't just withheld), `_blocked`, and `_short` (unique characters of the id).
    `as_of`: milliseconds since 1970; the issue as this replica's log tells it was then.
    """

    method = "show"
    ids: tuple[str, ...]
    as_of: int | None = None


class Count(Request[dict[str, Any]], kw_only=True):
    """`{"total": n}`, and with `by` `"groups": [{"group", "count"}]`.

    It can be status, priority, type, assignee, label or project.
    """

    method = "count"
    filter: Filter = msgspec.field(default_factory=Filter)
    all: bool = True
    by: str = ""


class Stats(Request[dict[str, Any]], kw_only=True):
    """Totals: `total`, `open`, `in_progress`, `closed`, `blocked`, `deferred`, `ready`, `pinned`, `epics_closable`.

    Besides `lead_time_hours`: the mean time from created to closed as a float; 0 where nothing is closed. Of tens of
    thousands of closed issues it is taken from evenly spread ones.
    """

    method = "stats"
    projects: tuple[str, ...] = ()
    plane: str = ""


class Children(Request[Page], kw_only=True):
    """Direct children of an issue."""

    method = "children"
    id: str
    texts: bool = False


class History(Request[list[dict[str, Any]]], kw_only=True):
    """An entity's events, newest first: `{"author", "n", "at", "actor", "changes": [{"field", "value"|"removed"}]}`.

    `at` is in milliseconds since 1970; `removed` holds the value taken out, or True where it isn't known. `n` counts
    the events of its author on the plane; `own` says whether that is this machine, whose numbers `Undo` takes. A change
    whose value isn't here has `"missing": True`, and one that was erased `"erased": True` and `"erased_by": {"actor",
    "author", "at"}`, too.
    """

    method = "history"
    id: str
    limit: int = 100


class Edges(Request[list[dict[str, Any]]], kw_only=True):
    """Dependencies of an issue, down (what it depends on) or up (what depends on it): one document each.

    A document has the other issue's fields without texts, `dependency_type`, and `_short` (unique characters of the
    id); of an issue that isn't here only `id` and `dependency_type`.
    """

    method = "edges"
    id: str
    direction: str = "down"
    type: str = ""


class EdgeTree(Request[dict[str, Any]], kw_only=True):
    """The dependencies as a tree: `{"id", "title", "status", "priority", "issue_type", "type", "seen", "children"}`."""

    method = "edge_tree"
    id: str
    direction: str = "down"
    depth: int = 50


class Cycles(Request[list[dict[str, Any]]], kw_only=True):
    """Edges left out of readiness: they close a cycle. `{"issue_id", "depends_on_id", "type", "cycle": [ids]}` each."""

    method = "cycles"


class Labels(Request[list[dict[str, Any]]], kw_only=True):
    """All labels in use: `{"label", "count"}`."""

    method = "labels"
    projects: tuple[str, ...] = ()
    plane: str = ""


class Conflicts(Request[list[dict[str, Any]]], kw_only=True):
    """Open conflicts: `{"id", "field", "shown", "values": [{"value", "actor", "at", "author", "n"}]}`.

    `at` is in milliseconds since 1970.
    """

    method = "conflicts"
    id: str = ""


class ResolveIds(Request[list[str]], kw_only=True):
    """Full ids for what people type: a whole id, or the first 4 or more characters of one; else not_found/ambiguous."""

    method = "resolve_ids"
    ids: tuple[str, ...]
    projects: tuple[str, ...] = ()


ISSUE_REQUESTS: tuple[type[Request[Any]], ...] = (
    InitTown, InitProject, WorkspaceInfo, Create, Update, Close, Reopen, Delete, Undelete, AddEdge, RemoveEdge,
    AddComment, Resolve, Script, ListIssues, Ready, Blocked, Show, Count, Stats, Children, History, Edges, EdgeTree,
    Cycles, Labels, Conflicts, ResolveIds,
)  # fmt: skip
"""All of this module."""
