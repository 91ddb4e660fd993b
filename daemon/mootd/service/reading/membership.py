"""Requests about towns, members and replicas that only read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from moot_protocol.ids import key_text
from moot_protocol.requests.base import Request
from moot_protocol.requests.membership import Forks, Members, OwnTown, Replicas, Towns
from moot_protocol.trust.towns import TownStanding
from mootd.engine.machine.members import last_seen_ms, seen
from mootd.engine.membership.charters import Member, epochs_of, members_of, towns_of
from mootd.engine.membership.joining import is_waiting
from mootd.engine.membership.towns import home_of, known_name, own_name
from mootd.engine.planes import plane_meant
from mootd.engine.state import no_town
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.versions import versions_of
from mootd.service.reading.forks import forks
from mootd.service.snapshot import Snapshot
from mootd.version import VERSION

FRONTIER_SHOWN: Final = 16
"""Hexadecimal digits shown of where a replica stands: two that show the same stand at the same place."""


def _planes(snapshot: Snapshot, typed: str) -> list[PlaneRow]:
    """The plane that is named, or all of them."""
    rows = list(snapshot.replica.planes.values())
    return [plane_meant(rows, typed)] if typed else rows


# -- Towns -------------------------------------------------------------------------------------------------------
def _own_town(snapshot: Snapshot, request: OwnTown) -> dict[str, Any]:
    del request
    replica = snapshot.replica
    home = home_of(replica.planes.values())
    if not home:
        raise no_town("`moot init` or `moot town create NAME`")
    return {
        "name": known_name(LogSnapshot(snapshot.reader), replica.planes.values(), home),
        "town": key_text(home),
        "is_here": home in _own(snapshot),
        "replica": key_text(replica.id),
        "planes": [_own_plane(snapshot, plane) for plane in replica.planes.values()],
    }


def _own(snapshot: Snapshot) -> frozenset[bytes]:
    return snapshot.replica.own_towns()


def _own_plane(snapshot: Snapshot, plane: PlaneRow) -> dict[str, Any]:
    """A plane, with the town that this machine belongs to there: by an invite that need not be the one it works in."""
    source = LogSnapshot(snapshot.reader)
    standing = towns_of(source, plane).get(plane.town)
    waits = is_waiting(snapshot.reader, plane.number)
    return {
        "plane": plane.name,
        "id": plane.id.hex(),
        "kind": plane.kind,
        "town": key_text(plane.town),
        "town_name": snapshot.origins.town_name(plane.number, plane.town),
        "is_here": plane.town in _own(snapshot),
        "role": _role(standing),
        "state": "waiting" if waits else _state(standing),
        "replicas": sum(1 for member in members_of(source, plane) if member.row.town == plane.town),
    }


def _role(standing: TownStanding | None) -> str:
    return "" if standing is None or standing.role is None else str(standing.role)


def _state(standing: TownStanding | None) -> str:
    return "unknown" if standing is None else str(standing.reason) or "ok"


def _towns(snapshot: Snapshot, request: Towns) -> list[dict[str, Any]]:
    return [town for plane in _planes(snapshot, request.plane) for town, _ in _towns_of(snapshot, plane)]


def _towns_of(snapshot: Snapshot, plane: PlaneRow) -> Iterator[tuple[dict[str, Any], Sequence[Member]]]:
    """The towns of a plane by depth, with their replicas."""
    source = LogSnapshot(snapshot.reader)
    members: dict[bytes, list[Member]] = {}
    for member in members_of(source, plane):
        members.setdefault(member.row.town, []).append(member)
    shown = [each for each in towns_of(source, plane).values() if _is_shown(source, each, plane)]
    for standing in sorted(shown, key=lambda each: (each.depth < 0, each.depth, each.key)):
        own = members.get(standing.key, [])
        town = {
            "plane": plane.name,
            "town": key_text(standing.key),
            "name": standing.name or own_name(snapshot.reader, standing.key),
            "town_name": snapshot.origins.town_name(plane.number, standing.key),
            "names": sorted({standing.name, own_name(snapshot.reader, standing.key)} - {""}),
            "role": _role(standing),
            "depth": standing.depth,
            "admitted_by": key_text(standing.admitter) if standing.admitter else "",
            "state": _state(standing),
            "is_own": standing.key == plane.town,
            "replicas": len(own),
        }
        yield town, own


def _is_shown(source: LogSnapshot, standing: TownStanding, plane: PlaneRow) -> bool:
    """Whether a town is worth a line: a recovery key that never acted isn't."""
    return standing.depth != 0 or source.feed(source.feed_number(plane.number, standing.key)).n > 0


# -- Replicas ----------------------------------------------------------------------------------------------------
def _members(snapshot: Snapshot, request: Members) -> dict[str, Any]:
    plane = plane_meant(snapshot.replica.planes.values(), request.plane)
    newest = epochs_of(LogSnapshot(snapshot.reader), plane).newest
    shown = _Replicas(snapshot, plane)
    return {
        "plane": plane.name,
        "id": plane.id.hex(),
        "kind": plane.kind,
        "epoch": newest.id.hex() if newest else "",
        "towns": [
            town | {"members": [shown.document(member, town["town_name"]) for member in members]}
            for town, members in _towns_of(snapshot, plane)
        ],
    }


def _replicas(snapshot: Snapshot, request: Replicas) -> list[dict[str, Any]]:
    found = []
    for plane in _planes(snapshot, request.plane):
        shown = _Replicas(snapshot, plane)
        for town, members in _towns_of(snapshot, plane):
            found += [shown.document(member, town["town_name"]) for member in members]
    return found


class _Replicas:
    """The replicas of a plane as documents."""

    def __init__(self, snapshot: Snapshot, plane: PlaneRow) -> None:
        self._me, self._now_ms = snapshot.replica.id, snapshot.now_ms
        self._plane = plane
        self._heard = seen(snapshot.reader, plane.number)
        self._versions = versions_of(snapshot.entities, plane)

    def document(self, member: Member, town_name: str) -> dict[str, Any]:
        """A replica."""
        row = member.row
        is_here, heard = row.author == self._me, self._heard.get(row.author)
        return {
            "plane": self._plane.name,
            "replica": key_text(row.author),
            "town": key_text(row.town),
            "town_name": town_name,
            "role": row.role,
            "state": row.reason or "ok",
            "n": row.n,
            "last_seen_ms": 0 if is_here else last_seen_ms(row, heard, self._now_ms),
            "in_step_ms": heard.in_step_ms if heard else 0,
            "frontier": heard.summary.hex()[:FRONTIER_SHOWN] if heard else "",
            "version": VERSION if is_here else self._versions.get(row.author, ""),
            "is_here": is_here,
        }


MEMBERSHIP_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    OwnTown: _own_town,
    Towns: _towns,
    Members: _members,
    Replicas: _replicas,
    Forks: forks,
}
"""What each of these requests is answered with."""
