"""Who erased an event, as the accepted erasures tell: looked up when it is asked for, once for each author."""

from typing import Any

from moot_protocol.clock import to_ms
from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import Erased, may_erase, names_in
from moot_protocol.merge.kinds import ADMIN_KINDS, ERASE, Role
from mootd.engine.stored import layout
from mootd.engine.stored.erased import name_of
from mootd.engine.stored.log import StoredEvent
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.entities import Entities

_Named = dict[Erased, list[StoredEvent]]


class Erasers:
    """The erasures of one transaction.

    Args:
        entities: the transaction.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._feeds = LogSnapshot(entities.reader)
        self._named: dict[int, _Named] = {}
        """By feed, once asked for."""

    def told(self, stored: StoredEvent) -> dict[str, Any]:
        """`{"erased_by": {"actor", "author", "at"}}` of the first erasure accepted here that counts for an event.

        `at` is in milliseconds since 1970. Empty where none counts.
        """
        number = stored.feed
        if number not in self._named:
            self._named[number] = self._of(number)
        named = self._named[number].get(name_of(stored.event), ())
        by = next((each for each in named if self._may(each, stored)), None)
        if by is None:
            return {}
        skeleton, author = by.event.skeleton, key_text(self._entities.author_of(by.feed))
        return {"erased_by": {"actor": skeleton.actor, "author": author, "at": to_ms(skeleton.hlc)}}

    def _of(self, number: int) -> _Named:
        """The accepted erasures of a feed's events, in order of arrival."""
        row, found = self._feeds.feed(number), _Named()
        eid = self._entities.reader.get(self._entities.views.ids, layout.id_key(row.plane, ERASE, key_text(row.author)))
        record = None if eid is None else self._entities.record(int.from_bytes(eid, "big"))
        for stored in reversed(self._entities.log.history(record.head if record else 0)):
            for name in names_in(stored.event.skeleton):
                found.setdefault(name, []).append(stored)
        return found

    def _may(self, erasure: StoredEvent, stored: StoredEvent) -> bool:
        by, of = self._feeds.feed(erasure.feed), self._feeds.feed(stored.feed)
        is_for_admins = stored.event.skeleton.kind in ADMIN_KINDS
        return by.kind == "replica" and may_erase(Role(by.role), by.town, of.town, is_for_admins=is_for_admins)
