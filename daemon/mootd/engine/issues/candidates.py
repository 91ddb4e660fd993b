"""An issue being looked at by a list: read step by step, since most filters need little.

Invariant: what a candidate shows is what its record shows, however few of its parts were read for it.
"""

from collections.abc import Callable

from moot_protocol.clock import to_ms
from moot_protocol.issue import Facts, created_ms, facts, facts_of, updated_ms
from moot_protocol.listing import IssueDoc
from moot_protocol.register import Live
from moot_protocol.times import instant_ms
from mootd.engine.record import Record, live_of
from mootd.engine.rows import plain_values


class Candidate:
    """An issue being looked at.

    Args:
        eid: its number.
        record: its record.
        author_of: a feed's author.
    """

    __slots__ = ("_author_of", "_live", "created_ms", "document", "eid", "facts", "record", "updated_ms")
    facts: Facts

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
            self.created_ms, self.updated_ms = created_ms(live, record.created), updated_ms(live, record.updated)
            return
        values, labels, _, updated = plain
        created = instant_ms(values["created_at"]) if "created_at" in values else None
        self.facts = facts_of(values, labels)
        self.created_ms = to_ms(record.created) if created is None else created
        self.updated_ms = to_ms(record.updated) if updated is None else updated

    @property
    def live(self) -> Live:
        """What is live in its record; long texts are missing."""
        if self._live is None:
            self._live = live_of(self.record, self._author_of)
        return self._live
