"""The exchange of one plane with other replicas: what sessions see of the log, and carrying out what they decide.

Invariant: only a `SharedPlane` can be exchanged, and an operational plane can't become one. Whatever leaves is read
from a committed state and belongs to that plane, and so does whatever comes in: both are checked here, once more, where
bytes leave and enter. Batches are decoded and verified outside the write transaction that takes them in.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, Protocol, TypeVar, final

from moot_protocol import kinds
from moot_protocol.batch import ZEROS, Batch, Header, decode_batch, encode_batch
from moot_protocol.charter import opening_value
from moot_protocol.clock import is_ahead
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.frontier import Entry
from moot_protocol.genesis import PlaneKind, decode_genesis, plane_id
from moot_protocol.limits import SYNC_MESSAGE_BYTES
from moot_protocol.messages import ForkProof, Message, Place, Single
from moot_protocol.sync import DigestAlarm, Effect, ForkSeen, InStep, Position, Send, Session, Store
from mootd.engine import layout
from mootd.engine.aside import AsideReader, whole_batch
from mootd.engine.log import FeedRow, LogReader, PlaneRow, StoredBatch, decode_feed, unpack_batch
from mootd.engine.receive import Outcome, keep_proof, receive
from mootd.engine.state import REPLICA_KEY, State
from mootd.engine.stored_feeds import StoredFeeds
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

R = TypeVar("R")
Also = Callable[[Unit, Sequence[Batch]], None]
"""What is done in the transaction that takes batches in."""

COUNTERS_AT_ONCE: Final = 1000
"""Message counters reserved by one commit; a restart skips what is left of them."""
EVENTS_AT_ONCE: Final = 1000
"""Events after which a transaction that takes in batches is committed: others wait no longer than for these."""
_SHARED: Final = frozenset({PlaneKind.LEDGER, PlaneKind.FEDERATION})
_HEADS: Final = 48
"""Branches that a trail names; with 64 steps and the beginning it stays below 128 places."""
_RECENT: Final = 64
"""Batches looked through, newest first, for one that a peer names as its head."""
_LENGTH: Final = 5
"""Bytes reckoned for each batch beside its own."""
_LAST: Final = 2**64 - 2
"""The highest number that an event may have in a key."""


@final
class SharedPlane:
    """A plane that may leave this machine. There is none for an operational plane.

    Raises:
        RefusedError: `denied`: the plane is operational, or of a kind whose sharing rule isn't known here.
    """

    __slots__ = ("_row",)

    def __init__(self, row: PlaneRow) -> None:
        if row.kind not in _SHARED:
            raise RefusedError(f"plane {row.name} is {row.kind or 'of no kind'}: it stays here", code=Code.DENIED)
        self._row = row

    @property
    def id(self) -> bytes:
        """The plane's 16 bytes."""
        return self._row.id

    @property
    def number(self) -> int:
        """The plane's local number."""
        return self._row.number

    @property
    def town(self) -> bytes:
        """The key of the town whose charter speaks of this plane's members."""
        return self._row.town


class Commit(Protocol):
    """Carries out work in a write transaction and returns its answer once that is durable."""

    def __call__(self, work: Callable[[Unit], R], /) -> R:
        """Do it; it may run twice, the first time taken back."""


class Snapshot:
    """One committed state, as acceptance asks for it."""

    def __init__(self, reader: Reader) -> None:
        self.transaction = reader
        self.log = LogReader(reader)

    def feed(self, number: int) -> FeedRow:
        """A feed by its number; number 0 is the feed of whoever isn't known."""
        packed = self.transaction.get(Table.META, layout.feed_key(number))
        return FeedRow(0, b"") if packed is None else decode_feed(packed)

    def feed_number(self, plane: int, author: bytes) -> int:
        """The number of an author's feed, or 0."""
        return int.from_bytes(self.transaction.get(Table.META, layout.feed_of_key(plane, author)) or b"", "big")

    def numbers(self, plane: int) -> list[int]:
        """The numbers of a plane's feeds, in ascending order of their authors."""
        prefix = layout.feed_of_key(plane, b"")
        rows = self.transaction.scan(Table.META, prefix, layout.after(prefix))
        return [int.from_bytes(value, "big") for _, value in rows]

    def authors(self, plane: int) -> list[bytes]:
        """Every author that anything is known of on a plane."""
        return [self.feed(number).author for number in self.numbers(plane)]


class StoredLog:
    """A plane of a replica as sessions see it (`moot_protocol.sync.SyncLog`).

    Args:
        replica: whose log.
        plane: which plane.
        commit: reserves counters.

    Raises:
        RefusedError: `denied`: the plane isn't held here as one that is shared.
    """

    def __init__(self, replica: State, plane: SharedPlane, commit: Commit) -> None:
        held = replica.planes.get(plane.number)
        if held is None or SharedPlane(held).id != plane.id:
            raise RefusedError("a plane that isn't held here can't be exchanged", code=Code.DENIED)
        self._replica = replica
        self._plane = plane
        self._commit = commit
        self._ids_of = (0, b"")
        self._ids: dict[bytes, int] = {}

    @property
    def plane(self) -> SharedPlane:
        """The plane."""
        return self._plane

    # -- Where it stands -----------------------------------------------------------------------------------------
    def position(self) -> Position:
        """The frontier and the digest of one moment."""
        with self._replica.read() as reader:
            source = Snapshot(reader)
            rows = (source.feed(number) for number in source.numbers(self._plane.number))
            frontier = tuple(
                Entry(row.author, row.n, row.head, row.forked_at) for row in rows if row.n or row.forked_at
            )
            views = self._replica.views_of(reader)
            digest = reader.get(Table.META, layout.digest_key(views.generation, self._plane.number))
            return Position(frontier, digest or bytes(32))

    def charters(self) -> frozenset[bytes]:
        """The towns whose charters are held: their feeds travel under a key of their own."""
        with self._replica.read() as reader:
            source = Snapshot(reader)
            rows = [source.feed(number) for number in source.numbers(self._plane.number)]
            return frozenset(row.author for row in rows if row.kind == kinds.CHARTER) | {self._plane.town}

    def next_counter(self) -> int:
        """A number higher than any that it returned before, restarts included."""
        reserved, plane = self._replica.message_counters, self._plane.number
        counter = next(reserved.get(plane, iter(())), None)
        if counter is None:
            reserved[plane] = iter(self._commit(lambda unit: _reserve(unit, plane)))
            counter = next(reserved[plane])
        return counter

    def trail(self, author: bytes) -> Sequence[Place]:
        """The heads held, the longest first; places at growing distances (in events) before the tip; the beginning."""
        with self._replica.read() as reader:
            feeds = StoredFeeds(Snapshot(reader), self._plane.number)
            heads = sorted(feeds.heads(author), key=lambda ref: (-ref.last, ref.id))[:_HEADS]
            tip = feeds.tip(author)
            steps = (1 << power for power in range(tip.last.bit_length())) if tip else ()
            back = [feeds.holding(author, tip.last - step) for step in steps if tip and step < tip.last]
            refs = dict.fromkeys((*heads, *(ref for ref in back if ref is not None)))
            return [*(Place(author, ref.last, ref.id) for ref in refs), Place(author, 0, ZEROS)]

    def holds(self, author: bytes, batch_id: bytes) -> bool:
        """Whether nothing has to be asked for to have this batch and all before it.

        Only recent batches of a long feed are looked through: whoever is further behind is asked for nothing, in vain.
        """
        with self._replica.read() as reader:
            source = Snapshot(reader)
            number = source.feed_number(self._plane.number, author)
            row = source.feed(number)
            if row.head == batch_id or self._is_far(reader, number, batch_id):
                return True
            if not row.forked_at and not row.is_aside:
                recent = islice(_accepted(source, number, 1, reverse=True), _RECENT)
                return any(stored.id == batch_id for stored in recent)
            return _is_linked_or_parked(
                StoredFeeds(source, self._plane.number), AsideReader(reader), author, number, batch_id
            )

    def _is_far(self, reader: Reader, number: int, batch_id: bytes) -> bool:
        """Whether a batch is the head of more parked ones than are kept, and still has to wait."""
        head = AsideReader(reader).far_head(number)
        return head is not None and head.id == batch_id and is_ahead(head.hlc, self._replica.wall.now_ms())

    # -- What it hands out ---------------------------------------------------------------------------------------
    def batches_after(self, author: bytes, places: Sequence[Place], max_bytes: int) -> Sequence[bytes] | None:
        """What the owner of these places lacks of a feed; see `SyncLog`."""
        with self._replica.read() as reader:
            source = Snapshot(reader)
            number = source.feed_number(self._plane.number, author)
            if source.feed(number).forked_at:
                offered = self._branches_after(StoredFeeds(source, self._plane.number), author, places)
            else:
                offered = self._accepted_after(source, number, places)
            return None if offered is None else list(_fitting(offered, max_bytes))

    def _accepted_after(self, source: Snapshot, number: int, places: Sequence[Place]) -> Iterator[bytes] | None:
        """The accepted batches behind the first of these places that stands among them."""
        for place in places:
            if place.id == ZEROS:
                return self._accepted_from(source, number, 1)
            stored = next(_accepted(source, number, 1, place.n, reverse=True), None)
            if stored is not None and stored.id == place.id:
                return self._accepted_from(source, number, stored.header.last + 1)
        return None

    def _accepted_from(self, source: Snapshot, number: int, first: int) -> Iterator[bytes]:
        return (self._whole(source, number, stored) for stored in _accepted(source, number, first))

    def _whole(self, source: Snapshot, number: int, stored: StoredBatch) -> bytes:
        """An accepted batch as it was received, what a pin cuts off included."""
        self._check_plane(stored.header)
        return whole_batch(source.transaction, number, stored)

    def _branches_after(self, feeds: StoredFeeds, author: bytes, places: Sequence[Place]) -> Iterator[bytes] | None:
        """All linked batches of a forked feed that don't lead to one of these places."""
        refs = feeds.branches(author).refs
        known = [place for place in places if place.id == ZEROS or place.id in refs]
        covered = {ref.id for place in known for ref in feeds.path(author, place.id)}
        lacking = sorted((ref for ref in refs.values() if ref.id not in covered), key=lambda ref: (ref.first, ref.id))
        return (self._encoded(feeds.batch(author, ref)) for ref in lacking) if known else None

    def _encoded(self, batch: Batch) -> bytes:
        self._check_plane(batch.header)
        return encode_batch(batch.header_bytes, batch.signature, batch.events)

    def _check_plane(self, header: Header) -> None:
        if header.plane != self._plane.id:
            raise RefusedError("a batch of another plane was about to be handed out", code=Code.DENIED)

    def batch(self, author: bytes, batch_id: bytes) -> bytes | None:
        """An accepted batch with all its values, or None."""
        with self._replica.read() as reader:
            source = Snapshot(reader)
            number = source.feed_number(self._plane.number, author)
            first = self._first_of(source, number, batch_id)
            stored = None if first is None else source.log.batch_holding(number, first)
            if stored is None:
                return None
            whole = self._whole(source, number, stored)
            return whole if decode_batch(whole, verify=False).is_complete else None

    def has_whole(self, author: bytes, first: int, batch_id: bytes) -> bool:
        """Whether a batch is accepted here as a whole, with all its values."""
        with self._replica.read() as reader:
            source = Snapshot(reader)
            number = source.feed_number(self._plane.number, author)
            stored = source.log.batch_holding(number, first)
            if stored is None or stored.id != batch_id or stored.accepted != stored.header.count:
                return False
            return reader.get(Table.META, layout.withheld_key(self._plane.number, number, first)) is None

    def _first_of(self, source: Snapshot, number: int, batch_id: bytes) -> int | None:
        """The first number of an accepted batch. The ids of one feed at a time are remembered."""
        head = source.feed(number).head
        if self._ids_of != (number, head):
            self._ids = {stored.id: stored.header.first for stored in _accepted(source, number, 1)}
            self._ids_of = (number, head)
        return self._ids.get(batch_id)

    def missing(self, most: int) -> Sequence[Single]:
        """Accepted batches some of whose values are withheld."""
        prefix = layout.withheld_prefix(self._plane.number)
        found: list[Single] = []
        with self._replica.read() as reader:
            source = Snapshot(reader)
            for key, _ in islice(reader.scan(Table.META, prefix, layout.after(prefix)), most):
                number, first = layout.withheld_parts(key)
                stored = source.log.batch_holding(number, first)
                if stored is not None:
                    found.append(Single(source.feed(number).author, stored.id))
        return found

    def fork_proof(self, author: bytes) -> ForkProof | None:
        """The proof of an author's lowest fork."""
        with self._replica.read() as reader:
            return AsideReader(reader).proof(Snapshot(reader).feed_number(self._plane.number, author))


def _accepted(
    source: Snapshot, number: int, first: int, last: int = _LAST, *, reverse: bool = False
) -> Iterator[StoredBatch]:
    """A feed's accepted batches that begin in a range of numbers."""
    start, stop = layout.batch_key(number, first), layout.batch_key(number, min(last, _LAST) + 1)
    return (unpack_batch(value) for _, value in source.transaction.scan(Table.BATCHES, start, stop, reverse=reverse))


def _fitting(batches: Iterator[bytes], room: int) -> Iterator[bytes]:
    """The first of these batches that go into so many bytes."""
    for batch in batches:
        room -= len(batch) + _LENGTH
        if room < 0:
            return
        yield batch


def _is_linked_or_parked(feeds: StoredFeeds, aside: AsideReader, author: bytes, number: int, batch_id: bytes) -> bool:
    """Whether a batch is linked, or parked with all before it back to one that is."""
    parked = (aside.batch(row) for _, _, row in aside.rows(number) if row.parked)
    previous = {batch.id: batch.header.prev for batch in parked}
    while batch_id != ZEROS and feeds.get(author, batch_id) is None:
        if batch_id not in previous:
            return False
        batch_id = previous[batch_id]
    return True


def _reserve(unit: Unit, plane: int) -> range:
    """Take message counters out of circulation."""
    key = layout.message_counter_key(plane)
    first = int.from_bytes(unit.transaction.get(Table.META, key) or b"", "big") + 1
    reserved = range(first, first + COUNTERS_AT_ONCE)
    unit.transaction.put(Table.META, key, reserved[-1].to_bytes(8, "big"))
    return reserved


# -- Carrying out ------------------------------------------------------------------------------------------------
class Outgoing(NamedTuple):
    """A message on its way out, which only a shared plane can have."""

    plane: SharedPlane
    to: bytes
    """The peer's 32-byte key."""
    message: bytes


class Taken(NamedTuple):
    """What came of a message."""

    outgoing: list[Outgoing]
    outcomes: list[Outcome]
    """What became of the batches it brought, but for those below."""
    malformed: list[MalformedError]
    """What was wrong with batches that were not taken in."""


class Exchange:
    """Brings one plane into step with any number of peers. Used by one thread at a time.

    Args:
        replica: this replica.
        plane: the plane.
        commit: carries out work in a write transaction.
        message_bytes: about the most that a message takes.

    Raises:
        RefusedError: `denied`: the plane isn't held here as one that is shared.
    """

    def __init__(
        self, replica: State, plane: SharedPlane, commit: Commit, *, message_bytes: int = SYNC_MESSAGE_BYTES
    ) -> None:
        self.log = StoredLog(replica, plane, commit)
        self.plane = plane
        self._me = replica.signer(REPLICA_KEY)
        self._commit = commit
        self._message_bytes = message_bytes
        self.also: Also | None = None
        """Called with batches as they are taken in, in the same transaction."""
        self._sessions: dict[bytes, Session] = {}
        self.alarms: dict[bytes, DigestAlarm] = {}
        """peer → the digests that differed although the frontiers were equal, until they agree again."""
        self.in_step: set[bytes] = set()
        """Peers that had the same frontier and digest when they last spoke."""

    def start(self, peer: bytes) -> list[Outgoing]:
        """Begin a round with a peer, whatever became of earlier ones."""
        self.in_step.discard(peer)
        return self._carry_out(peer, self._session(peer).start()).outgoing

    def take(self, peer: bytes, message: bytes) -> Taken:
        """Take a message that came from a peer, or claims to.

        Raises:
            MalformedError: it is no message, or one of another plane.
            RefusedError: the store's, when what it brought can't be kept: nothing is lost, `start` asks for it again.
        """
        return self._carry_out(peer, self._session(peer).receive(message))

    def take_decoded(self, peer: bytes, message: Message) -> Taken:
        """As `take`, of a message that was decoded and verified already."""
        return self._carry_out(peer, self._session(peer).receive_decoded(message))

    def _session(self, peer: bytes) -> Session:
        session = self._sessions.get(peer)
        if session is None:
            session = Session(self.plane.id, self._me, peer, self.log, message_bytes=self._message_bytes)
            self._sessions[peer] = session
        return session

    def _carry_out(self, peer: bytes, effects: Sequence[Effect]) -> Taken:
        taken = Taken([], [], [])
        while effects:
            has_stored = False
            for effect in effects:
                has_stored |= self._do(peer, effect, taken)
            effects = self._session(peer).proceed() if has_stored else ()
        return taken

    def _do(self, peer: bytes, effect: Effect, taken: Taken) -> bool:
        """Carry out one effect; whether the session has to go on after it."""
        match effect:
            case Send(message):
                taken.outgoing.append(Outgoing(self.plane, peer, message))
            case Store(batches):
                self._store(batches, taken)
                return True
            case ForkSeen(proof):
                self._commit(lambda unit: keep_proof(unit, proof))
                return True
            case DigestAlarm():
                self.in_step.discard(peer)
                self.alarms[peer] = effect
            case InStep():
                self.in_step.add(peer)
                self.alarms.pop(peer, None)
        return False

    def _store(self, received: Sequence[bytes], taken: Taken) -> None:
        stored = take_in(self._commit, self.plane, received, self.also)
        taken.outcomes.extend(stored.outcomes)
        taken.malformed.extend(stored.malformed)


class Stored(NamedTuple):
    """What became of batches that came in."""

    outcomes: list[Outcome]
    malformed: list[MalformedError]
    """What was wrong with those that were not taken in."""
    ids: frozenset[bytes]
    """Of those that were."""


def take_in(commit: Commit, plane: SharedPlane, received: Sequence[bytes], also: Also | None = None) -> Stored:
    """Decode and verify batches of a plane outside a write transaction, and take them in, doing `also` with it."""
    batches, malformed = list[Batch](), list[MalformedError]()
    for data in received:
        try:
            batches.append(check_batch(plane, data))
        except MalformedError as error:
            malformed.append(error)
    outcomes: list[Outcome] = []
    for portion in _portions(batches):
        outcomes += commit(partial(_receive_all, batches=portion, also=also))
    return Stored(outcomes, malformed, frozenset(batch.id for batch in batches))


def check_batch(plane: SharedPlane, data: bytes) -> Batch:
    """Decode and verify a batch that came in for a plane.

    Raises:
        MalformedError: with the code of the first check that fails; `wrong_plane` where it is of another plane, or
            founds one that must not be shared.
    """
    batch = decode_batch(data)
    if batch.header.plane != plane.id:
        raise MalformedError("a batch of another plane than the message it came in", code=Code.WRONG_PLANE)
    document = opening_value(batch.events[0], kinds.GENESIS) if batch.header.first == 1 else None
    if isinstance(document, bytes) and plane_id(document) == plane.id and decode_genesis(document).kind not in _SHARED:
        raise MalformedError("the genesis of a plane that must not be shared", code=Code.WRONG_PLANE)
    return batch


def _receive_all(unit: Unit, batches: Sequence[Batch], also: Also | None) -> list[Outcome]:
    outcomes = [receive(unit, batch) for batch in batches]
    if also is not None:
        also(unit, batches)
    return outcomes


def _portions(batches: Sequence[Batch]) -> Iterator[Sequence[Batch]]:
    """The batches in order, in groups of some `EVENTS_AT_ONCE` events."""
    start, events = 0, 0
    for end, batch in enumerate(batches, 1):
        events += batch.header.count
        if events >= EVENTS_AT_ONCE or end == len(batches):
            yield batches[start:end]
            start, events = end, 0
