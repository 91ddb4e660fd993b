"""Requests about what towns share: how it stands, what would leave, what has come."""

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from moot_protocol.exchange.frontier import summary
from moot_protocol.ids import key_text
from moot_protocol.requests.base import Request
from moot_protocol.requests.documents import Documents
from moot_protocol.requests.federation import FederationNews, FederationReview, FederationStatus
from moot_protocol.requests.membership import Members
from mootd.engine import federation
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.issues.conflicts import conflicting_issues
from mootd.engine.issues.origins import KEY_CHARS
from mootd.engine.machine.members import MONTH_MS, seen
from mootd.engine.machine.remotes import mode_of, remotes
from mootd.engine.membership.joining import is_waiting
from mootd.engine.messages import Post
from mootd.engine.planes import labels_of
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.service.reading.documents import DOCUMENT_READS
from mootd.service.reading.membership import MEMBERSHIP_READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Table


def _status(snapshot: Snapshot, request: FederationStatus) -> list[dict[str, Any]]:
    return [_stands(snapshot, plane) for plane in federation.shared_planes(snapshot.replica, request.plane)]


def _label(snapshot: Snapshot, plane: PlaneRow) -> str:
    return labels_of(list(snapshot.replica.planes.values()))[plane.number]


def _stands(snapshot: Snapshot, plane: PlaneRow) -> dict[str, Any]:
    replica, reader, label = snapshot.replica, snapshot.reader, plane.id.hex()
    listed = DOCUMENT_READS[Documents](snapshot, Documents(plane=label))
    issues = snapshot.issues_of(label)
    disagreeing = [record.entity for record in conflicting_issues(issues)]
    post = Post(replica, snapshot.entities, snapshot.now_ms)
    members = [row for member, row in seen(reader, plane.number).items() if member != replica.id]
    recent = [row for row in members if snapshot.now_ms - row.at_ms < MONTH_MS]
    here = _summary(snapshot, plane)
    return {
        "plane": _label(snapshot, plane),
        "kind": plane.kind,
        "state": "waiting" if is_waiting(reader, plane.number) else "ready",
        "towns": [_town(town) for town in MEMBERSHIP_READS[Members](snapshot, Members(plane=label))["towns"]],
        "remotes": [
            {
                "remote": row.name,
                "mode": mode_of(reader, row, plane.number),
                "ahead": federation.ahead(replica, reader, row, plane),
            }
            for row in remotes(reader)
        ],
        "members": len(recent),
        "in_step": sum(1 for row in recent if row.summary == here),
        "conflicts": [*disagreeing, *dict.fromkeys(each["id"] for each in listed if each["in_conflict"])],
        "not_adopted": [each["id"] for each in listed if each["standing"] == "not_adopted"],
        "messages": sum(1 for each in post.all() if each.plane == plane and not each.is_own),
    }


def _summary(snapshot: Snapshot, plane: PlaneRow) -> bytes:
    def never(*_: object) -> Any:
        raise AssertionError("a position is read without writing")

    return summary(StoredLog(snapshot.replica, SharedPlane(plane), never).position().frontier)


def _town(town: dict[str, Any]) -> dict[str, Any]:
    names = ("town", "name", "town_name", "role", "state", "is_own")
    last_seen = max((member["last_seen_ms"] for member in town["members"]), default=0)
    return {name: town[name] for name in names} | {"replicas": len(town["members"]), "last_seen_ms": last_seen}


def _review(snapshot: Snapshot, request: FederationReview) -> list[dict[str, Any]]:
    replica, reader = snapshot.replica, snapshot.reader
    found = []
    for plane in federation.shared_planes(replica, request.plane):
        for remote in remotes(reader):
            mode = mode_of(reader, remote, plane.number)
            count = federation.ahead(replica, reader, remote, plane)
            if mode == "off" or not count:
                continue
            by_entity: dict[tuple[str, str], list[Any]] = {}
            for stored in islice(federation.leaving(replica, reader, remote, plane), request.limit):
                skeleton = stored.event.skeleton
                by_entity.setdefault((skeleton.kind, skeleton.entity), []).append(stored)
            told = federation.by_entity(snapshot.entities, plane, by_entity)
            head = {"plane": _label(snapshot, plane), "remote": remote.name, "mode": mode}
            found.append(head | {"events": count, "entities": told})
    return found


def _news(snapshot: Snapshot, request: FederationNews) -> list[dict[str, Any]]:
    planes = {plane.number: plane for plane in federation.shared_planes(snapshot.replica, request.plane)}
    start = layout.arrival_key(min(max(request.since, 0), 2**63) + 1)
    news: dict[int, dict[tuple[str, str], int]] = {}
    for key, _ in snapshot.reader.scan(Table.EVENTS, start):
        stored = snapshot.entities.log.event(int.from_bytes(key, "big"))
        row = snapshot.feed(stored.feed)
        if row.plane in planes and stored.feed in snapshot.origins.foreign:
            skeleton = stored.event.skeleton
            entities = news.setdefault(stored.feed, {})
            about = (skeleton.kind, skeleton.entity)
            entities[about] = entities.get(about, 0) + 1
    return [_from(snapshot, planes, feed, entities) for feed, entities in news.items()]


def _from(
    snapshot: Snapshot, planes: dict[int, PlaneRow], feed: int, entities: dict[tuple[str, str], int]
) -> dict[str, Any]:
    row = snapshot.feed(feed)
    return {
        "plane": _label(snapshot, planes[row.plane]),
        "town": key_text(row.town)[:KEY_CHARS],
        "town_name": snapshot.origins.town_name(row.plane, row.town),
        "replica": key_text(row.author)[:KEY_CHARS],
        "events": sum(entities.values()),
        "entities": [{"kind": kind, "entity": name, "events": count} for (kind, name), count in entities.items()],
    }


FEDERATION_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    FederationStatus: _status,
    FederationReview: _review,
    FederationNews: _news,
}
"""What each of them is answered with."""
