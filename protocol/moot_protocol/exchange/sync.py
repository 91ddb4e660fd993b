"""The session: how two replicas bring one plane into step, without I/O.

    A                             B
    frontier (summary)      →
                            ←     frontier (the same summary)           in step: one round
    or
                            ←     frontier (all entries)
    forks, frontier (what differs), want  →
                            ←     forks, batches                        behind: two rounds

Where all entries don't fit a message, B answers with spans of them, A with the parts in which it differs, and from
there on it goes on as above with the sides exchanged: half a round more.

Guarantees: a session sends what is accepted, and of forked feeds the branches held, on its own plane only. Messages
may be lost, repeated, reordered or stale: every effect is idempotent, and `start` always makes progress again. Digests
are compared only between equal frontiers. A history of a forked feed of which only the proof is held is asked for
between equal ones too, so that people can tell what it did. Not guaranteed: that batches handed over are valid (whoever
stores them checks them), and that further evidence travels while nobody's acceptance depends on it.

The owner carries effects out in order, commits what is to be stored, and then calls `proceed`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple, Protocol, TypeAlias

from msgspec.structs import replace

from moot_protocol import crypto, limits
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.frontier import (
    FORMAT,
    Difference,
    Entry,
    Form,
    Frontier,
    FrontierBody,
    build_frontier_message,
    compare,
    summary,
)
from moot_protocol.exchange.messages import (
    AROUND_BATCHES,
    LARGEST_BATCH,
    NAME_BYTES,
    Batches,
    ForkProof,
    Message,
    Place,
    Single,
    Want,
    batch_room,
    build_batches,
    build_fork,
    build_want,
    decode_message,
)
from moot_protocol.exchange.spans import parts_that_differ, spans_of
from moot_protocol.log.batch import ZEROS, Link, batch_link


class Position(NamedTuple):
    """Where a replica stands on a plane: frontier and digest of one moment."""

    frontier: Frontier
    digest: bytes

    def message(
        self,
        signer: crypto.Signer,
        plane: bytes,
        counter: int,
        form: Form,
        *,
        to: bytes = ZEROS,
        entries: Frontier = (),
    ) -> bytes:
        """A signed message that tells of it.

        Args:
            signer: whose position it is.
            plane: the plane's id.
            counter: the message's number (`SyncLog.next_counter`).
            form: how much is spelled out; with `ALL` every entry is.
            to: the replica that it answers, or zeros.
            entries: what is spelled out in another form.
        """
        entries = self.frontier if form is Form.ALL else entries
        named = summary(self.frontier)
        body = FrontierBody(FORMAT, plane, signer.public, to, counter, self.digest, named, form, entries)
        return build_frontier_message(signer, body)


class SyncLog(Protocol):
    """A replica's log of one plane, as sessions see it."""

    def position(self) -> Position:
        """The frontier and the digest (32 bytes) that belongs to it."""

    def next_counter(self) -> int:
        """A number from 1, higher than any that it returned before on this machine."""

    def trail(self, author: bytes) -> Sequence[Place]:
        """Places to go on after, best first.

        The last linked batch of each branch held, the longest first; then batches of the trunk at growing distances
        (1, 2, 4, 8… batches back); at last `Place(author, 0, ZEROS)`. At most 128 places.
        """

    def holds(self, author: bytes, batch_id: bytes) -> bool:
        """Whether nothing has to be asked for to have this batch and all before it.

        True where it is linked, where it and those before it are held but parked, and where it is known as the head of
        more parked batches than are kept.
        """

    def batches_after(self, author: bytes, places: Sequence[Place], max_bytes: int) -> Sequence[bytes] | None:
        """What the owner of these places lacks of a feed, oldest first, as much as fits into so many bytes.

        Of a feed without a known fork: the accepted batches that follow the first of the places that stands on the
        accepted branch; a batch inside which a pin falls goes whole. Of a forked one: all linked batches, of whatever
        branch, but those that one of the places names or that come before it, because ends of other branches and of
        charters can only be judged by whoever holds them. None where no place is known; the beginning always is.
        For each batch `messages.batch_room` is reckoned.
        """

    def batch(self, author: bytes, batch_id: bytes) -> bytes | None:
        """An accepted batch with all its values, or None."""

    def missing(self, most: int) -> Sequence[Single]:
        """Up to so many accepted batches some of whose values are withheld."""

    def torn(self, links: Sequence[Link]) -> Sequence[Single]:
        """Those of these batches that are accepted and some of whose values are withheld."""

    def fork_proof(self, author: bytes) -> ForkProof | None:
        """Two signed headers of this author at the lowest forked number."""


class Send(NamedTuple):
    """Send this message to the peer."""

    message: bytes


class Store(NamedTuple):
    """Check, store and accept these batches, then call `proceed`."""

    batches: tuple[bytes, ...]


class ForkSeen(NamedTuple):
    """Keep this evidence, then call `proceed`."""

    proof: ForkProof


class DigestAlarm(NamedTuple):
    """Equal frontiers and different digests: one of the two has a bug. Tell the people."""

    peer: bytes
    mine: bytes
    theirs: bytes


class InStep(NamedTuple):
    """Both have the same frontier and the same digest."""

    peer: bytes


Effect: TypeAlias = Send | Store | ForkSeen | DigestAlarm | InStep

_AROUND_ENTRIES: Final = 256
"""Bytes of a frontier beside its entries, at most."""
_ENTRY: Final = 88
"""Bytes of an entry of a frontier, at most."""


FIRST_REST: Final = 8
"""Rounds for which a peer isn't asked again for values of a batch that it couldn't complete; then twice as many…"""
MOST_REST: Final = 4096
"""…and this many at most: it may have got them since."""
TORN_BYTES: Final = 32 * limits.KIB
"""Bytes of an answer that go to batches some of whose values are missing here, too; one always goes."""
RESTS: Final = 8192
"""Batches of which this is remembered for each peer."""


class _Rest(NamedTuple):
    """How long a peer isn't asked for a batch."""

    rounds: int
    until: int
    """The round in which it is asked again."""


class Session:
    """One replica's side of the exchange with one peer on one plane.

    Args:
        plane: the plane's 16 bytes.
        me: this replica's key.
        peer: the other's key, or None to take the first that speaks.
        log: this replica's log of the plane.
        message_bytes: about the most a message of batches takes; one batch, up to 96 KiB, always goes.
    """

    def __init__(
        self,
        plane: bytes,
        me: crypto.Signer,
        peer: bytes | None,
        log: SyncLog,
        *,
        message_bytes: int = limits.SYNC_MESSAGE_BYTES,
    ) -> None:
        self._plane = plane
        self._me = me
        self._log = log
        self._message_bytes = message_bytes
        self._most_entries = min(limits.FRONTIER_ENTRIES, max((message_bytes - _AROUND_ENTRIES) // _ENTRY, 4))
        self.peer = peer
        self.seen = 0
        """The highest counter of a frontier of the peer's that this session has read."""
        self._want_seen = 0
        self._theirs: FrontierBody | None = None
        self._asked: dict[bytes, tuple[Place, ...]] = {}
        """Places asked for since the last start, by author: asked again only when they have changed."""
        self._singles_asked: set[Single] = set()
        """Batches asked for since the last start, to complete them."""
        self._rests: dict[Single, _Rest] = {}
        """Batches that the peer couldn't complete, the one it was asked for last at the end."""
        self._brought: tuple[Link, ...] = ()
        """Batches that came with the last message, until it has been looked what became of them."""
        self._is_dry = False
        """Whether an answer of this round has completed nothing: no more is asked for in it to be completed."""
        self._rounds = 0
        self._diverged: set[bytes] = set()
        """Authors whose last place the peer doesn't know: the whole trail is sent for them."""

    def ask_anew(self) -> None:
        """Forget what the peer could not complete: it is heard on a new line, or somebody waits for all there is."""
        self._rests.clear()

    def start(self) -> list[Effect]:
        """Begin a round, whatever became of the rounds before."""
        self._asked.clear()
        self._singles_asked.clear()
        self._diverged.clear()
        self._brought, self._is_dry = (), False
        self._rounds += 1
        return [self._tell(self._log.position(), ZEROS, Form.SUMMARY)]

    def receive(self, data: bytes) -> list[Effect]:
        """Take a message; one that is stale, for others or from others has no effects.

        Raises:
            MalformedError: the bytes are no message, or one of another plane (`wrong_plane`).
        """
        return self.receive_decoded(decode_message(data))

    def receive_decoded(self, message: Message) -> list[Effect]:
        """As `receive`, of a message that was decoded and verified already.

        Raises:
            MalformedError: `wrong_plane`.
        """
        if message.plane != self._plane:
            raise MalformedError("a message of another plane", code=Code.WRONG_PLANE)
        match message:
            case FrontierBody():
                return self._on_frontier(message) if self._concerns(message, (ZEROS, self._me.public)) else []
            case Want():
                return self._on_want(message) if self._concerns(message, (self._me.public,)) else []
            case Batches():
                return self._on_batches(message)
            case ForkProof():
                return [ForkSeen(message)]

    def proceed(self) -> list[Effect]:
        """Go on after stored batches or evidence: ask for what is still missing, or find that both are in step."""
        self._note_torn()
        if self._theirs is None:
            return []
        position = self._log.position()
        if summary(position.frontier) == self._theirs.summary:
            return [
                self._compare_digests(position.digest, self._theirs),
                *self._want_unheld(position, self._theirs.sender),
            ]
        return self._ask(position, self._theirs)

    def _concerns(self, message: FrontierBody | Want, to: tuple[bytes, ...]) -> bool:
        if self.peer is None and message.sender != self._me.public:
            self.peer = message.sender
        return message.sender == self.peer and message.to in to

    # -- Frontiers -----------------------------------------------------------------------------------------------
    def _on_frontier(self, message: FrontierBody) -> list[Effect]:
        if message.counter <= self.seen:
            return []
        self.seen = message.counter
        position = self._log.position()
        if summary(position.frontier) == message.summary:
            self._theirs = message
            effects: list[Effect] = [self._compare_digests(position.digest, message)]
            if message.to == ZEROS:
                effects.append(self._tell(position, message.sender, Form.SUMMARY))
            return effects + self._want_unheld(position, message.sender)
        if message.form is Form.SUMMARY:
            return [self._spell_out(position, message.sender)]
        if message.form is Form.SPANS:
            parts = parts_that_differ(position.frontier, message.entries, self._most_entries)
            return [self._tell(position, message.sender, Form.PART, part) for part in parts]
        self._theirs = self._with_earlier(message)
        differences = list(compare(position.frontier, message.entries, message.form))
        effects = self._forks(differences)
        if message.form is not Form.SOME:
            own = tuple(difference.mine for difference in differences)
            for start in range(0, len(own), self._most_entries):
                some = own[start : start + self._most_entries]
                effects.append(self._tell(position, message.sender, Form.SOME, some))
        return effects + self._ask(position, message)

    def _spell_out(self, position: Position, to: bytes) -> Send:
        """All of this replica's entries, or as spans where they don't fit a message."""
        if len(position.frontier) <= self._most_entries:
            return self._tell(position, to, Form.ALL)
        return self._tell(position, to, Form.SPANS, spans_of(position.frontier, self._most_entries))

    def _with_earlier(self, message: FrontierBody) -> FrontierBody:
        """What the peer has spelled out of one frontier so far, in however many messages."""
        before = self._theirs
        if before is None or before.summary != message.summary or message.form is Form.ALL:
            return message
        entries = {entry.author: entry for entry in (*before.entries, *message.entries)}
        form = Form.ALL if before.form is Form.ALL else Form.SOME
        return replace(message, form=form, entries=tuple(entries[author] for author in sorted(entries)))

    def _tell(self, position: Position, to: bytes, form: Form, entries: Frontier = ()) -> Send:
        counter = self._log.next_counter()
        return Send(position.message(self._me, self._plane, counter, form, to=to, entries=entries))

    def _compare_digests(self, mine: bytes, theirs: FrontierBody) -> Effect:
        if mine == theirs.digest:
            return InStep(theirs.sender)
        return DigestAlarm(theirs.sender, mine, theirs.digest)

    def _forks(self, differences: Sequence[Difference]) -> list[Effect]:
        """Proofs of forks that the peer doesn't know, or knows only later ones of."""
        proofs = (
            self._log.fork_proof(mine.author)
            for mine, theirs in differences
            if mine.forked_at and not 0 < theirs.forked_at <= mine.forked_at
        )
        sent: list[Effect] = [Send(build_fork(proof)) for proof in proofs if proof is not None]
        return sent[: limits.WANT_RANGES]

    # -- Asking --------------------------------------------------------------------------------------------------
    def _ask(self, position: Position, theirs: FrontierBody) -> list[Effect]:
        """Ask for the batches up to the heads that the peer named, then for what else may tell both apart."""
        heads = (difference.theirs for difference in compare(position.frontier, theirs.entries, theirs.form))
        places = self._new_places((head.author, self._towards(head)) for head in heads)
        if not places:
            # Each has the heads of the other, and yet they differ. How a fork is settled may depend on branches that
            # are not accepted: on what an end names, on a genesis, on a charter that ends itself.
            forked = (entry.author for entry in position.frontier if entry.forked_at)
            places = self._new_places((author, tuple(self._log.trail(author))) for author in forked)
        return self._want(theirs.sender, places)

    def _want_unheld(self, position: Position, peer: bytes) -> list[Effect]:
        """Ask for the histories of which only a proof is here: what a fork did is told by them, and settled after."""
        unheld = (entry.author for entry in position.frontier if entry.forked_at and self._lacks_history(entry.author))
        return self._want(peer, self._new_places((author, tuple(self._log.trail(author))) for author in unheld))

    def _lacks_history(self, author: bytes) -> bool:
        proof = self._log.fork_proof(author)
        return proof is not None and not all(self._log.holds(author, each) for each in proof.ids)

    def _want(self, peer: bytes, places: Sequence[Place]) -> list[Effect]:
        """Ask a peer to go on after these places, and for what is withheld; ask nothing where there is neither."""
        room = limits.WANT_RANGES - len(places)
        singles = [] if self._is_dry else [one for one in self._log.missing(room) if self._is_to_ask(one)]
        if not places and not singles:
            return []
        self._singles_asked.update(singles)
        counter = self._log.next_counter()
        want = Want(FORMAT, self._plane, self._me.public, peer, counter, tuple(places), tuple(singles))
        return [Send(build_want(self._me, want))]

    def _is_to_ask(self, single: Single) -> bool:
        """Whether to ask for a batch to complete it: once a round, and seldom a peer that couldn't do it before."""
        rest = self._rests.get(single)
        return single not in self._singles_asked and (rest is None or rest.until <= self._rounds)

    def _note_torn(self) -> None:
        """Note which of the batches that came are not whole even so: the peer has given all that it has of them.

        Whoever's answer it was: all that a peer sends may be read by many, and each would ask for the same again.
        """
        brought, self._brought = self._brought, ()
        torn = self._log.torn(brought)
        for single in torn:
            rest = self._rests.pop(single, _Rest(0, 0))
            rounds = min(max(2 * rest.rounds, FIRST_REST), MOST_REST)
            self._rests[single] = _Rest(rounds, self._rounds + rounds)
        for oldest in list(self._rests)[: max(len(self._rests) - RESTS, 0)]:
            del self._rests[oldest]
        asked = {link.id for link in brought} & {single.id for single in self._singles_asked}
        self._is_dry |= bool(asked) and asked <= {single.id for single in torn}

    def _towards(self, head: Entry) -> tuple[Place, ...]:
        """Where to go on towards a head: nowhere where it is held, at one place, or along the whole trail."""
        if head.n == 0 or self._log.holds(head.author, head.head):
            return ()
        trail = tuple(self._log.trail(head.author))
        # Whoever is as far and doesn't hold their head stands on another branch.
        return trail if head.author in self._diverged or trail[0].n >= head.n else trail[:1]

    def _new_places(self, wanted: Iterable[tuple[bytes, tuple[Place, ...]]]) -> list[Place]:
        """The places among these that weren't asked for since the last start, as many authors as one want holds."""
        places: list[Place] = []
        for author, trail in wanted:
            if trail and self._asked.get(author) != trail:
                if len(places) + len(trail) > limits.WANT_RANGES:
                    break
                self._asked[author] = trail
                places += trail
        return places

    # -- Answering -----------------------------------------------------------------------------------------------
    def _on_want(self, want: Want) -> list[Effect]:
        if want.counter <= self._want_seen:
            return []
        self._want_seen = want.counter
        batches: list[bytes] = []
        left: list[bytes] = []
        unknown: list[bytes] = []
        room = self._message_bytes - AROUND_BATCHES
        for author, places in groupby(want.places, key=lambda place: place.author):
            room -= NAME_BYTES
            if batches and room < LARGEST_BATCH:
                left.append(author)
                continue
            found = self._log.batches_after(author, tuple(places), max(room, LARGEST_BATCH))
            if found is None:
                unknown.append(author)
                continue
            batches += found
            room -= sum(map(batch_room, found))
        batches += self._completing(want.singles, room)
        return [Send(build_batches(self._plane, tuple(batches), tuple(left), tuple(unknown)))]

    def _completing(self, singles: Sequence[Single], room: int) -> Iterator[bytes]:
        """The batches named that are here, as many as go into so many bytes; of torn ones, which may not help, few."""
        torn_room = TORN_BYTES
        for single in singles:
            found = self._log.batch(single.author, single.id)
            if found is None or batch_room(found) > room:
                continue
            if self._log.torn([batch_link(found)]):
                if batch_room(found) > torn_room and torn_room < TORN_BYTES:
                    continue
                torn_room -= batch_room(found)
            room -= batch_room(found)
            yield found

    def _on_batches(self, message: Batches) -> list[Effect]:
        self._diverged.update(author for author in message.unknown if author in self._asked)
        self._brought = tuple(_links(message.batches)) if self._log.missing(1) else ()
        if not message.batches:
            return self.proceed()
        for author in message.left:
            self._asked.pop(author, None)
        return [Store(message.batches)]


def _links(batches: Sequence[bytes]) -> Iterator[Link]:
    """What links these batches; what is no batch is left to whoever stores them to complain of."""
    for batch in batches:
        try:
            link = batch_link(batch)
        except MalformedError:
            continue
        yield link
