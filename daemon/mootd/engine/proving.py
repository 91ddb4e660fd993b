"""Proofs of single events, for people who have neither the log nor this program's word.

Invariant: only accepted events are proven, by what their authors signed: of a batch that a pin cuts the whole of it,
which lies in ASIDE. Of another town than the founder's that way in is shown by which it has its present role, and of
several the one in the charter with the lowest key, so the proof is the same whoever makes it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import ADMISSION, CERTIFICATE, CHARTER, GENESIS, INVITE, Role
from moot_protocol.trust.certificate import decode_certificate
from moot_protocol.trust.charter import charter_from_value, invite_of, parse
from moot_protocol.trust.genesis import decode_genesis
from moot_protocol.trust.levels import read_towns
from moot_protocol.trust.proof import build_proof
from moot_protocol.trust.towns import Charter, Towns
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.aside import whole_batch
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import FeedRow, StoredEvent, damaged
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import decode_record


class _Way(NamedTuple):
    """One way in which a town was let in."""

    writer: Charter
    """The charter that says so."""
    steps: list[StoredEvent]
    """What shows it."""


class Prover:
    """Proves events of one snapshot.

    Args:
        replica: the replica.
        entities: the snapshot.
    """

    def __init__(self, replica: Replica, entities: Entities) -> None:
        self._replica: Final = replica
        self._entities: Final = entities
        self._towns: dict[int, Towns] = {}

    def proof_of(self, stored: StoredEvent) -> bytes:
        """The proof of an accepted event: itself, its path, its batch's signature, and who may sign for the plane."""
        row = self._replica.feeds[stored.feed]
        further: list[StoredEvent] = []
        certificate: Any = ()
        if row.author != row.town:
            certificate = self._opening(stored.feed, CERTIFICATE)
            signer = decode_certificate(certificate).signer
            if signer != row.town:
                further.append(self._invite(row, row.town, signer))
        further += self._way_of(row)
        genesis = self._opening(self._charter(row, self._founder(row)), GENESIS)
        shown = [(self._batch(each), each.event.n) for each in further]
        return build_proof(self._batch(stored), stored.event.n, certificate, genesis, shown)

    # -- How a town came in --------------------------------------------------------------------------------------
    def _way_of(self, row: FeedRow) -> Iterator[StoredEvent]:
        """What shows how a feed's town was let in, and who let it in, up to the founder or the recovery key."""
        tops = (self._founder(row), self._recovery(row)) if self._is_guest(row) else (row.town,)
        at = row.town
        while at not in tops:
            way = self._way(row, at)
            yield from way.steps
            at = way.writer.standing.key

    def _way(self, row: FeedRow, town: bytes) -> _Way:
        """The way in that gives a town its role; an admission rather than an invite."""
        standing = self._towns_of(row).charters[town].standing
        for find in (self._admission, self._invited):
            for writer in self._above(row, standing.depth):
                steps = find(row, town, writer, standing.role)
                if steps:
                    return _Way(writer, steps)
        raise damaged("the charters don't hold how a town was let in")

    def _above(self, row: FeedRow, depth: int) -> list[Charter]:
        """The admins that are one shallower than a depth, by key."""
        charters = self._towns_of(row).charters
        return [each for _, each in sorted(charters.items()) if each.is_admin and each.standing.depth == depth - 1]

    def _admission(self, row: FeedRow, town: bytes, writer: Charter, role: Role | None) -> list[StoredEvent]:
        """The admission in a charter that gives a town this role."""

        def lets_in(event: Event) -> bool:
            parsed = parse(event) if event.skeleton.kind == ADMISSION else None
            admission = None if parsed is None else parsed.values.get(ADMISSION)
            return admission is not None and admission.role is role

        found = self._written(row, ADMISSION, town, writer.standing.key, lets_in)
        return [] if found is None else [found]

    def _invited(self, row: FeedRow, town: bytes, writer: Charter, role: Role | None) -> list[StoredEvent]:
        """The first event of a town's charter that proves an invite of a charter with this role, and that invite."""
        feed = self._charter(row, town)
        opened = charter_from_value(self._opening(feed, CHARTER))
        proof = None if opened is None else opened.proof
        invitation = None if proof is None else writer.reading.invitation(proof.invite)
        if proof is None or invitation is None or invitation.invite.role is not role or not writer.writes_epochs:
            return []
        return [self._first(feed), self._invite(row, writer.standing.key, proof.invite)]

    # -- Towns ---------------------------------------------------------------------------------------------------
    def _is_guest(self, row: FeedRow) -> bool:
        """Whether a feed is of another town than the founder's."""
        return self._first(self._charter(row, row.town)).event.skeleton.kind != GENESIS

    def _founder(self, row: FeedRow) -> bytes:
        return self._towns_of(row).genesis.town if self._is_guest(row) else row.town

    def _recovery(self, row: FeedRow) -> bytes:
        return decode_genesis(self._opening(self._charter(row, self._founder(row)), GENESIS)).recovery

    def _towns_of(self, row: FeedRow) -> Towns:
        """The towns of a feed's plane, read once."""
        towns = self._towns.get(row.plane)
        if towns is None:
            feeds = StoredFeeds(LogSnapshot(self._entities.reader), row.plane)
            towns = read_towns(self._replica.planes[row.plane].id, feeds)
            if towns is None:
                raise damaged("the plane's genesis is missing")
            self._towns[row.plane] = towns
        return towns

    def _charter(self, row: FeedRow, town: bytes) -> int:
        """The local number of a town's charter on a feed's plane."""
        charter = self._entities.feed_number(row.plane, town)
        if charter is None:
            raise damaged("the town's charter is missing")
        return charter

    # -- Events --------------------------------------------------------------------------------------------------
    def _batch(self, stored: StoredEvent) -> Batch:
        """The whole batch that holds an accepted event."""
        held = self._entities.log.batch_holding(stored.feed, stored.event.n)
        if held is None:
            raise damaged(f"the batch that holds event {stored.event.n} is missing")
        return decode_batch(whole_batch(self._entities.reader, stored.feed, held), verify=False)

    def _first(self, feed: int) -> StoredEvent:
        """The first event of a feed."""
        held = self._entities.log.batch_holding(feed, 1)
        if held is None:
            raise damaged("a feed's first batch is missing")
        return self._entities.event(held.arrival)

    def _opening(self, feed: int, kind: str) -> Any:
        """What the first event of a feed wrote."""
        first = self._first(feed).event
        values = None if first.skeleton.kind != kind else first.values()
        if not values:
            raise damaged(f"a feed doesn't begin with its {kind}")
        return values[0]

    def _invite(self, row: FeedRow, town: bytes, key: bytes) -> StoredEvent:
        """The event of a town's charter that made an invite: the first one of its key."""
        made = self._written(row, INVITE, key, town, lambda event: invite_of(event, key) is not None)
        if made is None:
            raise damaged("the charter doesn't hold the invite that a feed rests on")
        return made

    def _written(
        self, row: FeedRow, kind: str, about: bytes, town: bytes, is_meant: Callable[[Event], bool]
    ) -> StoredEvent | None:
        """The first event about a key, of a kind, in a town's charter, that is meant."""
        entities, charter = self._entities, self._charter(row, town)
        eid = entities.reader.get(entities.views.ids, layout.id_key(row.plane, kind, key_text(about)))
        packed = None if eid is None else entities.reader.get(entities.views.records, eid)
        events = [] if packed is None else entities.log.history(decode_record(packed).head)
        made = (each for each in events if each.feed == charter and is_meant(each.event))
        return min(made, key=lambda each: each.event.n, default=None)
