"""Reads that show few issues: they are answered on the loop, and from the first moment on.

Invariant: they need nothing but the store, so that this module, which is loaded before the socket is served, imports
only what they read with.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import ListIssues, Ready, ResolveIds, Show, WorkspaceInfo
from moot_protocol.requests.listing import Filter
from mootd.engine.issues import history
from mootd.engine.issues.holding import attention
from mootd.engine.machine.workspaces import read_workspace
from mootd.engine.replica import Replica
from mootd.service.mail import nudges_for
from mootd.service.snapshot import Snapshot

R = TypeVar("R")

QUICK_ROWS: Final = 100
"""Rows of a list that is answered on the loop itself."""
_ALWAYS: Final = frozenset({Show, ResolveIds, WorkspaceInfo})
_NO_FILTER: Final = Filter()
_PLACE_ONLY: Final = frozenset({"projects", "plane"})


def _show(snapshot: Snapshot, request: Show) -> list[dict[str, Any]]:
    issues = snapshot.issues
    found = []
    for typed in request.ids:
        name, eid, record = issues.find(typed)
        if request.as_of is None:
            found.append(issues.full_document(eid, record))
            continue
        document = history.as_of(issues, record, request.as_of)
        if document is None:
            raise RefusedError(f"{name} did not exist then", code=Code.NOT_FOUND)
        found.append(document | {"_short": issues.names.unique_chars(name)})
    return found


def _workspace_info(snapshot: Snapshot, request: WorkspaceInfo) -> dict[str, Any] | None:
    """What is known of a workspace, and what of the actor's claims wants attention."""
    found = read_workspace(snapshot.reader, request.workspace)
    if found is None or not request.actor:
        return found
    claims = attention(snapshot.reader, snapshot.entities, request.actor, snapshot.now_ms)
    nudges = nudges_for(snapshot, request.actor)
    return found | ({"claims": claims} if claims else {}) | ({"nudges": nudges} if nudges else {})


def _resolve_ids(snapshot: Snapshot, request: ResolveIds) -> list[str]:
    return [snapshot.issues.names.resolve(typed)[0] for typed in request.ids]


QUICK_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    ListIssues: lambda snapshot, request: snapshot.lists(request.filter.plane).issues(request),
    Ready: lambda snapshot, request: snapshot.lists(request.filter.plane).ready(request),
    Show: _show,
    ResolveIds: _resolve_ids,
    WorkspaceInfo: _workspace_info,
}
"""What each of them is answered with, also where it is asked for more than few issues."""


class QuickReads:
    """Answers them.

    Args:
        replica: the replica.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    @staticmethod
    def take(request: Request[Any]) -> bool:
        """Whether a request is answered at once, on the loop."""
        if isinstance(request, ListIssues | Ready):
            plain = not _parts(request.filter) - _PLACE_ONLY and not request.texts
            return plain and 0 < request.limit <= QUICK_ROWS and request.sort == "priority"
        return type(request) in _ALWAYS

    def answer(self, request: Request[R]) -> R:
        """Answer one that is."""
        with self._replica.read() as reader:
            snapshot = Snapshot(self._replica, reader, self._replica.wall.now_ms())
            found: R = QUICK_READS[type(request)](snapshot, request)
        return found


def _parts(wanted: Filter) -> set[str]:
    return {name for name in wanted.__struct_fields__ if getattr(wanted, name) != getattr(_NO_FILTER, name)}
