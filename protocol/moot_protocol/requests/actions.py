"""Requests about issues as a graph, and further things that are done to them; as `issues.py` for the rest."""

from typing import Any

from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.listing import IssueDoc


class Graph(Request[dict[str, Any]], kw_only=True):
    """Issues with the edges between them.

    `scope`: `connected`, all that an edge of any type leads to or from, however far; `children`, an issue and its
    direct children; `open`, every issue not closed.
    Answers `{"root": id, "issues": [documents without texts, with `_blocked`, and `blocked_by` where something holds
    one up], "cut": whether there are more than fit}`, the root first.
    """

    method = "graph"
    id: str = ""
    """The root; not for `open`."""
    scope: str = "connected"
    projects: tuple[str, ...] = ()
    plane: str = ""


class EpicStatus(Request[list[dict[str, Any]]], kw_only=True):
    """Epics not closed: `{"epic": document, "total_children", "closed_children", "eligible_for_close"}` each."""

    method = "epic_status"
    ids: tuple[str, ...] = ()
    """These only, whatever they are: of each how far its children are."""
    projects: tuple[str, ...] = ()
    plane: str = ""


class SetState(Mutation[dict[str, Any]], kw_only=True):
    """Set a dimension of an issue's state: the label `dimension:value` in the place of any other of the dimension.

    The change is told by a closed child of type `event`. Answers `{"issue_id", "dimension", "old_value" or None,
    "new_value", "event_id", "changed"}`; without a change there is no event.
    """

    method = "set_state"
    id: str
    dimension: str
    value: str
    reason: str = ""


class Undo(Mutation[dict[str, Any]], kw_only=True):
    """Undo a write of the actor's, made on this machine: put back what it changed, as a write of its own.

    The write is the one with event number `n` (of this machine's feed), the actor's last to the issue `id`, or their
    last of all. Answers `{"undone": {"n": [first, last], "at", "actor"}, "changes": [{"id", "field", "from", "to"}],
    "issues": [documents]}`, and `_unchanged` where nothing is to be put back. A change that brings a conflict
    back has `conflict`, the values that disagree; one that ends it, none of them. Raises `conflict` where somebody has
    written since, `denied` for somebody else's, `ambiguous` where several planes have an event `n` of this machine's.
    """

    method = "undo"
    id: str = ""
    n: int | None = None
    plane: str = ""
    """The plane that `n` is of; empty: the only one on which this machine has such an event about an issue."""
    author: str = ""
    """The beginning of the key of the machine that `n` is of, which can be this one only; empty: this one."""


class Erase(Mutation[dict[str, Any]], kw_only=True):
    """Take the values of an issue's fields out of the log, those that were written over among them, for good.

    What is live of them is cleared first; what else the same events said and is live is written again. Who wrote when,
    and which fields, stays. Answers `{"id", "fields": erased ones, "events": n, "rewritten": fields, "written_over",
    "not_mine"}`: how many values of other fields went along, as they had been written over, and how many events of
    other towns stay, which this machine may not erase. `_unchanged` where nothing is here. Raises `denied` where all is
    theirs.
    """

    method = "erase"
    id: str
    fields: tuple[str, ...] = ()
    """Which (`moot_protocol.issues.erasure.ERASABLE`); none for all that people wrote (`WORDS`)."""


class Rename(Mutation[IssueDoc], kw_only=True):
    """Give an issue an alias, which is shown in the place of its id and means it wherever an id is typed.

    The id stays, and goes on meaning it. An empty alias takes it away. Answers the issue's document. Named so already:
    no change, and the answer is `_unchanged`. Raises `exists` where the alias is another's id or alias.
    """

    method = "rename"
    id: str
    alias: str


class Diff(Request[list[dict[str, Any]]], kw_only=True):
    """What changed between two times (milliseconds since 1970), as this replica's log tells them.

    Answers `{"issue_id", "diff_type": "added", "modified" or "removed", "old_value", "new_value": documents or None,
    "changes": [{"field", "from", "to"}]}` each, in order of id. Deleting removes, and undeleting adds again. A change
    has `erased`, "from" or "to" or both, where what was there then was erased since.
    """

    method = "diff"
    before: int
    after: int
    ids: tuple[str, ...] = ()
    """Only these; else all."""
    projects: tuple[str, ...] = ()
    plane: str = ""


ACTION_REQUESTS: tuple[type[Request[Any]], ...] = (Graph, EpicStatus, SetState, Undo, Erase, Rename, Diff)
"""All of this module."""
