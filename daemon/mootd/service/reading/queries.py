"""Requests that look over many issues, each answered from one snapshot: which list answers which request."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from moot_protocol.requests.actions import Diff, EpicStatus, Graph
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Count, Labels, Stats
from moot_protocol.requests.queries import Begun, Duplicates, Lint, Query, Similar, Stale
from mootd.engine.issues.differences import diff
from mootd.engine.listing.begun import BegunLists
from mootd.engine.listing.care import Care
from mootd.engine.listing.counting import CountLists
from mootd.engine.listing.graphs import GraphLists
from mootd.engine.listing.lists import Lists
from mootd.engine.listing.queries import QueryLists
from mootd.engine.listing.similar import SimilarLists
from mootd.service.snapshot import Snapshot

L = TypeVar("L", bound=Lists)


def _lists(kind: type[L], snapshot: Snapshot, plane: str) -> L:
    """Lists of a kind over the issues of the plane that is named; of every plane, if none is."""
    every = snapshot.issues
    issues = snapshot.issues_of(plane) if plane else every
    replica = snapshot.replica
    projects = dict(replica.projects)
    return kind(issues, every.names, projects, snapshot.now_ms, replica.rows, ledger=replica.settings_plane)


QUERY_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    Query: lambda snapshot, request: _lists(QueryLists, snapshot, request.plane).query(request),
    Begun: lambda snapshot, request: _lists(BegunLists, snapshot, request.filter.plane).begun(request),
    Count: lambda snapshot, request: _lists(CountLists, snapshot, request.filter.plane).count(request),
    Stats: lambda snapshot, request: _lists(CountLists, snapshot, request.plane).stats(request),
    Labels: lambda snapshot, request: _lists(CountLists, snapshot, request.plane).labels(request),
    Stale: lambda snapshot, request: _lists(Care, snapshot, request.filter.plane).stale(request),
    Lint: lambda snapshot, request: _lists(Care, snapshot, request.filter.plane).lint(request),
    Duplicates: lambda snapshot, request: _lists(Care, snapshot, request.plane).duplicates(request),
    Similar: lambda snapshot, request: _lists(SimilarLists, snapshot, request.filter.plane).similar(request),
    Graph: lambda snapshot, request: _lists(GraphLists, snapshot, request.plane).graph(request),
    Diff: lambda snapshot, request: diff(snapshot.issues_of(request.plane), request),
    EpicStatus: lambda snapshot, request: _lists(GraphLists, snapshot, request.plane).epics(request),
}
"""What each request of the module's subject is answered with."""
