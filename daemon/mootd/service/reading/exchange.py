"""Requests about planes, remotes, invites and queues that only read."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.clock import minute_of
from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.limits import MIB
from moot_protocol.merge.kinds import PROJECT
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import Invites, OutboxInfo, Planes, Remotes, ShowPlane
from moot_protocol.trust.charter_reading import Invitation
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.ticket import RemoteKind, without_credentials
from mootd.engine.exchange.outbox import OutboxReader
from mootd.engine.machine.members import awaited, last_seen_ms, seen
from mootd.engine.machine.reached import reached_ms
from mootd.engine.machine.remotes import RemoteRow, isolated_to, mode_of, remotes, remotes_of
from mootd.engine.membership.charters import epochs_of, invites_of, members_of
from mootd.engine.membership.joining import is_waiting
from mootd.engine.membership.towns import guests_of, has_key_of
from mootd.engine.planes import plane_meant
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.exchange.progress import MOST_PROBLEMS, Progress
from mootd.exchange.unopened import unopened
from mootd.remotes import Alarm, RefAlarm
from mootd.store.port import Reader

MOST_ALARMS: Final = 20
"""Alarms of one kind that are told of a remote one by one: whoever writes there makes as many as they like."""
IN_ADDRESS: Final = "secret_in_address"
"""The kind of the alarm about a secret in the address of a remote, from before such addresses were refused."""
ProgressOf = Callable[[int], Progress]
"""How the exchange with a remote goes, by its number."""


class ExchangeView:
    """One snapshot, as these requests see it.

    Args:
        replica: the replica.
        reader: the snapshot.
        progress_of: how the exchange with a remote goes.
        now_ms: the wall clock.
    """

    def __init__(self, replica: Replica, reader: Reader, progress_of: ProgressOf, now_ms: int) -> None:
        self._replica = replica
        self._reader = reader
        self._progress_of = progress_of
        self._now_ms = now_ms
        self._source = LogSnapshot(reader)

    # -- Remotes -------------------------------------------------------------------------------------------------
    def remotes(self) -> list[dict[str, Any]]:
        """All remotes."""
        return [self._remote(row) for row in remotes(self._reader)]

    def _remote(self, row: RemoteRow) -> dict[str, Any]:
        progress = self._progress_of(row.number)
        gauge = OutboxReader(self._reader, row.number).gauge()
        return {
            "name": row.name,
            "kind": row.kind,
            "url": without_credentials(row.url),
            "state": progress.state,
            "error": progress.why(),
            "code": str(progress.error.code) if progress.error else "",
            "failing_ms": progress.failing_ms,
            "last_ok_ms": progress.last_ok_ms or reached_ms(self._reader, row.number),
            "next_try_ms": progress.next_try_ms,
            "queued": gauge.frames,
            "queued_bytes": gauge.bytes,
            "planes": [
                {"plane": plane.name, "mode": mode_of(self._reader, row, plane.number)}
                for plane in self._replica.planes.values()
                if plane.kind != PlaneKind.OPERATIONAL
            ],
            "alarms": [
                *_secret_alarms(row),
                *_alarm_rows(progress.alarms),
                *({"name": "", "kind": "problem", "detail": words if count == 1 else f"{words} ({count:,} times)"}
                  for words, count in self._left_out(row, progress)),
                *({"name": plane, "kind": "problem", "detail": detail} for plane, detail in self._apart(progress)),
                *({"name": plane, "kind": "breaks_off", "detail": f"{count:,} times in a row"}
                  for plane, count in self._breaking(progress)),
            ],
        }  # fmt: skip

    def _apart(self, progress: Progress) -> Iterator[tuple[str, str]]:
        """(a plane's name, that a member derives another state from the same events)."""
        for number, members in [*progress.apart.items()]:
            plane = self._replica.planes.get(number)
            if plane is None:
                continue
            for member in [*members]:
                if not self._source.feed(self._source.feed_number(number, member)).reason:  # else it says no more
                    what = "derives another state from the same events; run `moot fsck` there and here"
                    yield plane.name, f"{key_text(member)} {what}"

    def _breaking(self, progress: Progress) -> Iterator[tuple[str, int]]:
        """(a plane's name, how many of its lines broke in a row)."""
        for number, count in progress.lines.breaking().items():
            if number in self._replica.planes:
                yield self._replica.planes[number].name, count

    def _left_out(self, row: RemoteRow, progress: Progress) -> Iterator[tuple[str, int]]:
        """(why frames of a remote were left out, how many)."""
        yield from [*progress.problems.items()]
        if progress.dropped.foreign:
            yield "a frame under a name that is none of Moot's", progress.dropped.foreign
        if progress.dropped.too_large:
            yield "a frame larger than any of Moot's", progress.dropped.too_large
        yield from self._unopened(row, progress)

    def _unopened(self, row: RemoteRow, progress: Progress) -> Iterator[tuple[str, int]]:
        for each in islice(unopened(self._replica, self._reader, row, progress), MOST_PROBLEMS):
            yield f"{Code.UNKNOWN_EPOCH}: a frame of epoch {each.epoch.hex()}, whose key isn't here", each.frames

    def outbox(self, plane: str = "") -> list[dict[str, Any]]:
        """What waits for each remote, or for those that a plane is exchanged with.

        Raises:
            RefusedError: `not_found`, `ambiguous` or `denied`: there is no such plane, or nobody to exchange it with.
        """
        named = plane_meant(self._replica.planes.values(), plane) if plane else None
        shown = []
        for row in remotes(self._reader) if named is None else remotes_of(self._reader, named):
            gauge = OutboxReader(self._reader, row.number, self._replica.outbox_caps).gauge()
            shown.append(
                {
                    "remote": row.name,
                    "frames": gauge.frames,
                    "bytes": gauge.bytes,
                    "most_frames": gauge.caps.frames,
                    "most_bytes": gauge.caps.bytes,
                    "oldest_ms": max(self._now_ms - gauge.oldest_ms, 1) if gauge.oldest_ms else 0,
                    "dropped": gauge.dropped,
                    "is_nearly_full": gauge.is_nearly_full,
                }
                | (self._awaited(row) if gauge.is_nearly_full else {})
            )
        return shown

    def _awaited(self, row: RemoteRow) -> dict[str, Any]:
        """Whom the oldest frame for a live remote waits for, where that isn't the remote."""
        oldest = next((frame for _, frame in OutboxReader(self._reader, row.number).frames()), None)
        if oldest is None or not oldest.published_ms or oldest.plane not in self._replica.planes:
            return {}
        for member, heard in awaited(self._reader, oldest.plane, self._now_ms, self._replica.id):
            plane = self._replica.planes[oldest.plane].name
            return {"awaited": {"replica": key_text(member), "plane": plane, "last_heard_ms": heard.at_ms}}
        return {}

    # -- Planes --------------------------------------------------------------------------------------------------
    def planes(self) -> list[dict[str, Any]]:
        """All planes."""
        return [self._plane(plane) for plane in self._replica.planes.values()]

    def _plane(self, plane: PlaneRow) -> dict[str, Any]:
        own = self._source.feed(self._source.feed_number(plane.number, self._replica.id))
        newest = epochs_of(self._source, plane).newest
        rows = [row for row in self._replica.feeds.values() if row.plane == plane.number and row.n]
        return {
            "name": plane.name,
            "plane": plane.id.hex(),
            "kind": plane.kind,
            "town": key_text(plane.town),
            "is_own": has_key_of(self._replica, plane),
            "role": own.role,
            "state": "waiting" if is_waiting(self._reader, plane.number) else "ready",
            "events": sum(row.n for row in rows),
            "replicas": sum(1 for _ in members_of(self._source, plane)),
            "projects": list(self._projects(plane)),
            "remotes": [
                {"remote": row.name, "mode": mode_of(self._reader, row, plane.number)} for row in remotes(self._reader)
            ]
            if plane.kind != PlaneKind.OPERATIONAL
            else [],
            "epoch": newest.id.hex() if newest else "",
        } | ({"is_isolated": True} if isolated_to(self._reader, plane.number) is not None else {})

    def _projects(self, plane: PlaneRow) -> Iterator[str]:
        prefix = layout.id_key(plane.number, PROJECT, "")
        ids = self._replica.views_of(self._reader).ids
        return (layout.id_entity(key) for key, _ in self._reader.scan(ids, prefix, layout.after(prefix)))

    def plane(self, name: str) -> dict[str, Any]:
        """One plane with its members."""
        plane = plane_meant(self._replica.planes.values(), name)
        heard = seen(self._reader, plane.number)
        present = set[tuple[int, bytes]]().union(
            *(self._progress_of(row.number).present for row in remotes(self._reader))
        )
        members = [
            {
                "replica": key_text(member.row.author),
                "role": member.row.role,
                "state": member.row.reason or "ok",
                "events": member.row.n,
                "is_here": member.row.author == self._replica.id,
                "is_live": (plane.number, member.row.author) in present,
                "last_seen_ms": 0
                if member.row.author == self._replica.id
                else last_seen_ms(member.row, heard.get(member.row.author), self._now_ms),
                "invite": "" if member.certificate.signer == plane.town else key_text(member.certificate.signer),
            }
            for member in members_of(self._source, plane)
        ]
        return self._plane(plane) | {"members": members, "invites": list(self._invites(plane))}

    # -- Invites -------------------------------------------------------------------------------------------------
    def invites(self) -> list[dict[str, Any]]:
        """All invites."""
        return [each for plane in self._replica.planes.values() for each in self._invites(plane)]

    def _invites(self, plane: PlaneRow) -> Iterator[dict[str, Any]]:
        users: dict[bytes, list[str]] = {}
        for member in members_of(self._source, plane):
            users.setdefault(member.certificate.signer, []).append(key_text(member.row.author))
        for key, invitation in invites_of(self._source, plane).items():
            if invitation.invite.town != plane.town:  # it lets in other towns
                users[key] = [key_text(town) for town in guests_of(self._source, plane, key)]
            yield {
                "invite": key_text(key),
                "plane": plane.name,
                "role": str(invitation.invite.role),
                "expires_ms": invitation.invite.expires_ms,
                "state": self._state(invitation),
                "users": users.get(key, []),
            }

    def _state(self, invitation: Invitation) -> str:
        if invitation.counting is not None:
            return "closed"
        expires_ms = invitation.invite.expires_ms
        return "expired" if expires_ms and expires_ms < self._now_ms else "open"


EXCHANGE_READS: Final[dict[type[Request[Any]], Callable[[ExchangeView, Any], Any]]] = {
    Remotes: lambda view, _: view.remotes(),
    Planes: lambda view, _: view.planes(),
    ShowPlane: lambda view, request: view.plane(request.plane),
    Invites: lambda view, _: view.invites(),
    OutboxInfo: lambda view, request: view.outbox(request.plane),
}
"""What each reading request of the exchange is answered with."""


def _alarm_rows(alarms: Sequence[Alarm]) -> Iterator[dict[str, str]]:
    """Alarms as people are told them: of each kind `MOST_ALARMS`, and how many more there are."""
    counts: Counter[RefAlarm] = Counter()
    for alarm in alarms:
        counts[alarm.kind] += 1
        if counts[alarm.kind] <= MOST_ALARMS:
            yield {"name": alarm.name, "kind": str(alarm.kind), "detail": alarm.detail}
    for kind, count in counts.items():
        if count > MOST_ALARMS:
            yield {"name": "", "kind": str(kind), "detail": f"and {count - MOST_ALARMS:,} more"}


def _secret_alarms(row: RemoteRow) -> Iterator[dict[str, str]]:
    if row.kind not in {RemoteKind.GIT, RemoteKind.MQTT}:
        return
    from mootd.edges.address_secrets import secret_in  # noqa: PLC0415 - many have no such remote

    found = secret_in(row.url)
    if found is not None:
        yield {"name": "", "kind": IN_ADDRESS, "detail": str(found)}


# -- For `status` and `doctor` -----------------------------------------------------------------------------------
def queue_alarms(boxes: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The queues that are nearly full, out of what `outbox` tells, as alarms of `status`."""
    for box in boxes:
        if box["is_nearly_full"]:
            yield {
                "code": "queue_nearly_full",
                "severity": "warning",
                "message": f"the queue for remote {box['remote']} is nearly full: {_filling(box)}",
                "hint": _on_full_queue(box),
            }


def remote_checks(remotes: Iterable[Mapping[str, Any]], boxes: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The remotes and their queues, as `remotes` and `outbox` tell them, as checks of `doctor`.

    Whether each is reached, has room in its queue, holds no secret in its address, and nothing odd stands there.
    """
    queues = {box["remote"]: box for box in boxes}
    for remote in remotes:
        name, box = remote["name"], queues[remote["name"]]
        yield checked(
            f"remote {name} is reached",
            not remote["error"],
            f"not since {minute_of(remote['failing_ms'])}: {remote['error']}" if remote["error"] else "",
            f"what waits for it is kept and goes later; `moot remote test {name}` tells more",
        )
        has_room = not box["is_nearly_full"]
        yield checked(f"queue for remote {name} has room", has_room, _filling(box), _on_full_queue(box))
        kinds = {alarm["kind"] for alarm in remote["alarms"]}
        if IN_ADDRESS in kinds:
            hint = "`moot remote list` says what to do"
            yield checked(f"address of remote {name} holds no secret", False, "it stands in this machine's data", hint)
        odd = ", ".join(kind.replace("_", " ") for kind in sorted(kinds - {IN_ADDRESS}))
        yield checked(f"remote {name} gives no alarm", not odd, odd, "see `moot status`")


def _filling(box: Mapping[str, Any]) -> str:
    """How full a queue is."""
    frames = f"{box['frames']:,} of {box['most_frames']:,} frames"
    dropped = f", {box['dropped']:,} dropped so far" if box["dropped"] else ""
    return f"{frames}, {_mib(box['bytes'])} of {_mib(box['most_bytes'])} MiB{dropped}"


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}".removesuffix(".0")


def _on_full_queue(box: Mapping[str, Any]) -> str:
    kept = "nothing is lost: once it is full the oldest frames make room, and are made again from the log; "
    if (waits := box.get("awaited")) is None:
        return f"{kept}`moot remote test {box['remote']}` says whether the remote can be reached"
    return (
        f"{kept}it waits for {waits['replica']} on plane {waits['plane']}, last heard of "
        f"{minute_of(waits['last_heard_ms'])}; if that machine is gone for good, `moot replica retire` ends the wait"
    )
