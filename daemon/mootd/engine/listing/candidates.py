"""An issue being looked at by a list: read step by step, since most filters need little.

Invariant: what a candidate shows is what its record shows, however few of its parts were read for it.
"""

from collections.abc import Callable
from typing import Any

from moot_protocol.clock import to_ms
from moot_protocol.issues.issue import Facts, closed_ns, created_ns, facts, facts_of, updated_ns
from moot_protocol.merge.register import Live
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.times import NS_PER_MS, instant_ms, ns_below_ms
from mootd.engine.views.record import Record, live_of
from mootd.engine.views.rows import plain_values


class Candidate:
    """An issue being looked at.

    Args:
        eid: its number.
        record: its record.
        author_of: a feed's author.
    """

    __slots__ = ("_author_of", "_live", "closed_ns", "created_ns", "document", "eid", "facts", "record", "updated_ns")
    facts: Facts
    closed_ns: int | None

    def __init__(self, eid: int, record: Record, author_of: Callable[[int], bytes]) -> None:
        self.eid = eid
        self.record = record
        self.document: IssueDoc | None = None
        """Without long texts, once it has been made; shared, so not to be changed."""
        self._author_of = author_of
        self._live: Live | None = None
        plain = plain_values(record)
        if plain is None:
            live = self.live
            self.facts = facts(live)
            self.created_ns, self.updated_ns = created_ns(live, record.created), updated_ns(live, record.updated)
            self.closed_ns = closed_ns(live, self.facts)
            return
        values, labels, _, updated = plain
        created = instant_ms(values["created_at"]) if "created_at" in values else None
        self.facts = facts_of(values, labels)
        self.created_ns = _ns(to_ms(record.created) if created is None else created, values.get("created_at"))
        if updated is None:
            self.updated_ns = to_ms(record.updated) * NS_PER_MS
        else:
            self.updated_ns = _ns(updated, values["updated_at"])
        closed = self.facts.closed_ms
        self.closed_ns = None if closed is None else _ns(closed, values["closed_at"])

    @property
    def created_ms(self) -> int:
        """When it was created, in milliseconds since 1970: what indexes have it in order by."""
        return self.created_ns // NS_PER_MS

    @property
    def updated_ms(self) -> int:
        """When it was last changed, as `created_ms`."""
        return self.updated_ns // NS_PER_MS

    @property
    def live(self) -> Live:
        """What is live in its record; long texts are missing."""
        if self._live is None:
            self._live = live_of(self.record, self._author_of)
        return self._live


def _ns(ms: int, written: Any) -> int:
    """Nanoseconds since 1970 of a time whose milliseconds are known, and whose text may tell more."""
    return ms * NS_PER_MS + ns_below_ms(written)
