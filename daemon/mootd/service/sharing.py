"""Requests about shares: beginning and ending them inside a unit, and telling how their copies stand."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.ids import key_text
from moot_protocol.issues.issue import facts
from moot_protocol.merge.kinds import COPY, ISSUE
from moot_protocol.requests.base import Request
from moot_protocol.requests.shares import FollowShare, Share, Shares, Unshare
from mootd.engine.issues import sharing
from mootd.engine.issues.copies import Suggestion
from mootd.engine.issues.origins import ORIGIN, Origins
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.shares import Entries, Original, Shared, copies_of, own_part, shares_of
from mootd.engine.machine.uncopied import uncopied
from mootd.engine.membership.former import OwnFeeds, OwnTown
from mootd.engine.planes import issue_planes, labels_of
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record
from mootd.service.snapshot import Snapshot

_ISSUES_TOLD: Final = 3
"""Issues of a share that a check names one by one."""


class _Telling:
    """Shares as documents, inside a transaction."""

    def __init__(
        self,
        replica: State,
        entities: Entities,
        origins: Origins,
        planes: Mapping[int, PlaneRow],
        feed_of: Callable[[int], FeedRow],
    ) -> None:
        self._replica = replica
        self._entities = entities
        self._origins = origins
        self._feed_of = feed_of
        self._planes = {row.id: row for row in planes.values()}
        self._alike: dict[int, list[Shared]] = {}
        """By plane, all shares of what stands there."""
        self._is_own = OwnFeeds(entities.reader, replica, feed_of)
        self._labels = {self._id_of(planes, number): name for number, name in labels_of(issue_planes(planes)).items()}

    @staticmethod
    def _id_of(planes: Mapping[int, PlaneRow], number: int) -> bytes:
        return planes[number].id

    def document(self, shared: Shared) -> dict[str, Any]:
        """A share."""
        copies, is_here = copies_of(self._entities, shared, self._is_own), shared.follower == self._replica.id
        kept = uncopied(self._entities.reader, shared.id) if is_here else {}
        return {
            "share": shared.id,
            "what": shared.what,
            "value": shared.value,
            "project": shared.project,
            "from": self._labels.get(shared.plane.id, shared.plane.name),
            "to": self._labels.get(shared.to, shared.to.hex()[:8]),
            "prefix": shared.prefix,
            "fields": list(shared.rule.fields),
            "rule": shared.rule.text,
            "follower": key_text(shared.follower),
            "is_here": is_here,
            "ended": shared.ended,
            "copies": [self._copy(shared, source, copy) for source, copy in sorted(copies.items())],
            "uncopied": [{"source": source, "why": why} for source, why in kept.items()],
        }

    def _record(self, plane: int, name: str, kind: str = ISSUE) -> Record | None:
        views = self._entities.views
        eid = self._entities.reader.get(views.ids, layout.id_key(plane, kind, name))
        return None if eid is None else self._entities.record(int.from_bytes(eid, "big"))

    def _entries(self, shared: Shared) -> Entries:
        if shared.plane.number not in self._alike:
            self._alike[shared.plane.number] = list(shares_of(self._entities, [shared.plane], self._is_own))
        alike = (each for each in self._alike[shared.plane.number] if each.to == shared.to)
        number = shared.plane.number
        return Entries(self._entities, alike, lambda name: own_part(self._record(number, name, COPY), self._is_own))

    def _copy(self, shared: Shared, source: str, copy: str) -> dict[str, Any]:
        told = {"source": source, "copy": copy, "state": "behind", "suggestions": []}
        target = self._planes.get(shared.to)
        here = self._record(shared.plane.number, source)
        there = None if target is None else self._record(target.number, copy)
        if here is None or target is None or there is None:
            return told
        document = Issues(self._entities, shared.plane.number).document(here)
        original = Original(source, facts(self._entities.live(here, texts=False)).project, document)
        holders = self._entries(shared).holders(original, copy)
        if shared.id not in {each.id for each in holders}:
            return told
        ours, had = OwnTown(self._entities.reader, target), self._replica.own_towns()

        def is_own(feed: int) -> bool:
            town = self._feed_of(feed).town
            return town in ours or town in had

        change = self._entries(shared).change_of(holders[0], original, there, is_own)
        state = "differs" if change.suggestions else "in_step" if change.is_empty else "behind"
        suggestions = [self._suggestion(target.number, each) for each in change.suggestions]
        return told | {"state": state, "suggestions": suggestions}

    def _suggestion(self, plane: int, suggestion: Suggestion) -> dict[str, Any]:
        told = {"field": suggestion.field, "here": suggestion.here, "there": suggestion.there, "actor": ""}
        if suggestion.by is None:
            return told
        origin = self._origins.of_author(plane, suggestion.by.author)
        return told | {"actor": suggestion.by.actor} | ({} if origin is None else {ORIGIN: origin})


def _telling(unit: Unit) -> _Telling:
    unit.seal()  # what was taken out of a copy is read from its batch
    unit.flush()
    planes = unit.replica.planes
    return _Telling(unit.replica, unit.entities(), Origins(unit.replica, unit.transaction), planes, unit.feed)


def _share(unit: Unit, request: Share) -> dict[str, Any]:
    made = sharing.share(unit, request)
    return _telling(unit).document(made)


def _unshare(unit: Unit, request: Unshare) -> dict[str, Any]:
    ended, withdrawn = sharing.unshare(unit, request)
    return _telling(unit).document(ended) | {"withdrawn": withdrawn}


def _follow(unit: Unit, request: FollowShare) -> dict[str, Any]:
    taken = sharing.follow_share(unit, request)
    return _telling(unit).document(taken)


def _shares(snapshot: Snapshot, request: Shares) -> list[dict[str, Any]]:
    planes = snapshot.replica.planes
    feed_of = LogSnapshot(snapshot.reader).feed
    telling = _Telling(snapshot.replica, snapshot.entities, snapshot.origins, planes, feed_of)
    name = snapshot.issues.names.resolve(request.id)[0] if request.id else ""
    shares = _own_shares(snapshot)
    told = [telling.document(shared) for shared in shares if not shared.ended]
    for each in told:
        each["copies"] = [copy for copy in each["copies"] if name in ("", copy["source"], copy["copy"])]
        each["uncopied"] = [kept for kept in each["uncopied"] if name in ("", kept["source"])]
    return [each for each in told if each["copies"] or each["uncopied"] or not name]


def _own_shares(snapshot: Snapshot) -> Iterator[Shared]:
    own = OwnFeeds(snapshot.reader, snapshot.replica, LogSnapshot(snapshot.reader).feed)
    return shares_of(snapshot.entities, issue_planes(snapshot.replica.planes), own)


def share_alarms(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Shares whose copies nobody keeps in step any more: what is taken back here, or made private, stays there."""
    source, replica = LogSnapshot(snapshot.reader), snapshot.replica
    for shared in _own_shares(snapshot):
        if sharing.part_in(source, replica, shared) is sharing.Part.ORPHANED:
            yield {
                "code": "share_orphaned",
                "severity": "warning",
                "message": f"the machine that kept the copies of share {shared.id} in step can write no more: what "
                "changes here, or is made private, doesn't reach them",
                "hint": f"`moot share follow {shared.id}`, on the machine of this town that is to do it from now on",
            }


def _uncopied(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Shares that this machine follows with issues that can't be copied as they stand."""
    for shared in _own_shares(snapshot):
        kept = {} if shared.ended or shared.follower != snapshot.replica.id else uncopied(snapshot.reader, shared.id)
        some = [f"{issue} ({why})" for issue, why in islice(kept.items(), _ISSUES_TOLD)]
        more = [f"{len(kept) - len(some)} more"] if len(kept) > len(some) else []
        if kept:
            yield {
                "message": f"share {shared.id} can't copy {', '.join([*some, *more])}; copies made before stay as "
                "they were",
                "hint": "shorten what is too long, or keep these issues out of the share; `moot share list` tells of "
                "all, and `moot unshare` withdraws copies",
            }


def share_checks(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """The same for `moot doctor`, and what can't be copied; nothing where nothing was ever shared."""
    if not any(_own_shares(snapshot)):
        return
    told = [*share_alarms(snapshot), *_uncopied(snapshot)]
    words, hints = ("; ".join(each[part] for each in told) for part in ("message", "hint"))
    yield checked("every share's copies are kept in step", not told, words, hints)


SHARE_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {Shares: _shares}
"""What each reading request about shares is answered with."""
SHARE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    Share: _share,
    Unshare: _unshare,
    FollowShare: _follow,
}
"""What each writing one does."""
