"""A replica's log in memory, as sessions see it, and a pipe between sessions that loses, repeats and reorders."""

import sys
from collections.abc import Sequence
from hashlib import sha256

from moot_protocol.crypto import SeedSigner
from moot_protocol.exchange.messages import ForkProof, Place, Single, fork_proof
from moot_protocol.exchange.sync import DigestAlarm, Effect, ForkSeen, InStep, Position, Send, Session, Store
from moot_protocol.log.batch import ZEROS, Batch, Link, decode_batch, decode_header
from moot_testkit.bytes.feeds import live_digest, wire
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import Settlement, settle
from moot_testkit.naive.settling import frontier_of


class MemoryLog:
    """Satisfies `sync.SyncLog` over `HeldBatches`; slow, and as plain as can be."""

    def __init__(self, plane: bytes) -> None:
        self.plane = plane
        self.held = HeldBatches(plane)
        self.wrong_digest = False
        self._settled: Settlement | None = None
        self._counter = 0
        self._signed: dict[bytes, dict[int, dict[bytes, tuple[bytes, bytes]]]] = {}
        """author → first → header id → (header, signature)."""

    def add(self, batch: Batch, *, parked: bool = False) -> None:
        """Hold a batch."""
        self.held.add(batch, parked=parked)
        self._note(batch.header_bytes, batch.signature, batch.header.author, batch.header.first, batch.id)

    def add_evidence(self, proof: ForkProof) -> None:
        """Hold a fork proof."""
        one, other = (fork_id(header) for header in proof.headers)
        for header_bytes, signature, header_id in zip(proof.headers, proof.signatures, (one, other), strict=True):
            self.held.add_evidence(decode_header(header_bytes), header_id)
            self._note(header_bytes, signature, proof.author, proof.first, header_id)

    def settled(self) -> Settlement:
        """What is accepted."""
        if self._settled is None:
            self._settled = settle(self.plane, self.held)
        return self._settled

    def _note(self, header: bytes, signature: bytes, author: bytes, first: int, header_id: bytes) -> None:
        self._settled = None
        self._signed.setdefault(author, {}).setdefault(first, {})[header_id] = (header, signature)

    def position(self) -> Position:
        """Frontier and digest."""
        settlement = self.settled()
        digest = live_digest(self.held.accepted(settlement)).digest()
        return Position(frontier_of(settlement.accepted), bytes(32) if self.wrong_digest else digest)

    def next_counter(self) -> int:
        """The next number."""
        self._counter += 1
        return self._counter

    def trail(self, author: bytes) -> Sequence[Place]:
        """The heads, then the trunk at growing distances, then the beginning."""
        heads = sorted(self.held.heads(author), key=lambda ref: (-ref.last, ref.id))
        tip = self.held.tip(author)
        trunk = self.held.branch(author, tip.id)[::-1] if tip else []
        steps = [Place(author, trunk[at].header.last, trunk[at].id) for at in _doubling(len(trunk))]
        return [*(Place(author, ref.last, ref.id) for ref in heads), *steps, Place(author, 0, ZEROS)]

    def holds(self, author: bytes, batch_id: bytes) -> bool:
        """Whether the batch and all before it are linked or parked."""
        batches = {batch.id: batch for batch in self.held.batches(author)}
        while batch_id != ZEROS and not self.held.get(author, batch_id):
            if batch_id not in batches or not self.held.is_parked(author, batch_id):
                return False
            batch_id = batches[batch_id].header.prev
        return True

    def batches_after(self, author: bytes, places: Sequence[Place], max_bytes: int) -> Sequence[bytes] | None:
        """What the owner of these places lacks."""
        known = [place for place in places if place.id == ZEROS or self.held.get(author, place.id)]
        if self.held.forked_at(author):
            covered = {batch.id for place in known for batch in self.held.branch(author, place.id)}
            offered = [one for ref in self.held.heads(author) for one in self.held.branch(author, ref.id)]
        else:
            accepted = self.settled().accepted.get(author)
            offered = self.held.branch(author, accepted.batch) if accepted else []
            ids = [ZEROS, *(batch.id for batch in offered)]
            known = [place for place in known if place.id in ids][:1]
            covered = set(ids[: ids.index(known[0].id) + 1]) if known else set()
        lacking = {batch.id: batch for batch in sorted(offered, key=lambda batch: batch.header.first)}
        found: list[bytes] = []
        for batch in (batch for batch in lacking.values() if batch.id not in covered):
            max_bytes -= len(wire(batch)) + 5
            if max_bytes < 0:
                break
            found.append(wire(batch))
        return found if known else None

    def batch(self, author: bytes, batch_id: bytes) -> bytes | None:
        """An accepted batch of which any value is here."""
        found = next((one for one in self._accepted(author) if one.id == batch_id), None)
        is_bare = found is None or all(event.values_bytes is None for event in found.events)
        return None if found is None or is_bare else wire(found)

    def missing(self, most: int) -> Sequence[Single]:
        """Accepted batches with withheld values."""
        lacking = [
            Single(author, batch.id)
            for author in self.held.authors()
            for batch in self._accepted(author)
            if not batch.is_complete
        ]
        return lacking[:most]

    def torn(self, links: Sequence[Link]) -> Sequence[Single]:
        """Those of these batches that are accepted with withheld values."""
        missing = self.missing(sys.maxsize)
        return [single for link in links if (single := Single(link.author, link.id)) in missing]

    def _accepted(self, author: bytes) -> list[Batch]:
        accepted = self.settled().accepted.get(author)
        return self.held.branch(author, accepted.batch) if accepted else []

    def fork_proof(self, author: bytes) -> ForkProof | None:
        """Two signed headers at the lowest forked number."""
        signed = self._signed.get(author, {}).get(self.held.forked_at(author), {})
        pair = [signed[header_id] for header_id in sorted(signed)][:2]
        return fork_proof(pair[0], pair[1]) if len(pair) == 2 else None


def fork_id(header: bytes) -> bytes:
    """The id of a batch by its header."""
    return sha256(header).digest()


def _doubling(length: int) -> list[int]:
    """1, 2, 4, 8… below a length."""
    return [1 << power for power in range(length.bit_length()) if 1 << power < length]


class Peer:
    """A replica with a log and a session with each other replica; carries its effects out at once."""

    def __init__(self, key: SeedSigner, log: MemoryLog, *, message_bytes: int | None = None) -> None:
        self.key = key
        self.log = log
        self.sessions: dict[bytes, Session] = {}
        self.sent: list[tuple[bytes, bytes]] = []
        """(to, message), not yet delivered."""
        self.seen: list[Effect] = []
        self._options = {} if message_bytes is None else {"message_bytes": message_bytes}

    def meet(self, other: "Peer") -> None:
        """Get a session with another replica."""
        name = other.key.public
        self.sessions[name] = Session(self.log.plane, self.key, name, self.log, **self._options)

    def start(self, other: bytes) -> None:
        """Begin a round with another replica."""
        self._carry_out(other, self.sessions[other].start())

    def receive(self, sender: bytes, message: bytes) -> None:
        """Take a message."""
        self._carry_out(sender, self.sessions[sender].receive(message))

    def _carry_out(self, peer: bytes, effects: list[Effect]) -> None:
        for effect in effects:
            self.seen.append(effect)
            match effect:
                case Send(message):
                    self.sent.append((peer, message))
                case Store(batches):
                    for batch in batches:
                        self.log.add(decode_batch(batch))
                case ForkSeen(proof):
                    self.log.add_evidence(proof)
                case InStep() | DigestAlarm():
                    pass
        if any(isinstance(effect, Store | ForkSeen) for effect in effects):
            self._carry_out(peer, self.sessions[peer].proceed())


def deliver_all(peers: Sequence[Peer], most: int = 2000) -> int:
    """Deliver every message in order until none is left; how many there were.

    Raises:
        AssertionError: the talk doesn't end.
    """
    by_key = {peer.key.public: peer for peer in peers}
    count = 0
    while any(peer.sent for peer in peers):
        for peer in peers:
            waiting, peer.sent = peer.sent, []
            for to, message in waiting:
                by_key[to].receive(peer.key.public, message)
                count += 1
        assert count < most, "the sessions never come to rest"
    return count


def settle_down(peers: Sequence[Peer], rounds: int = 12) -> None:
    """Start every pair again and again over a pipe that loses nothing, as a timer would, until all agree."""
    for _ in range(rounds):
        for peer in peers:
            for other in peer.sessions:
                peer.start(other)
        deliver_all(peers)
        if len({peer.log.position().frontier for peer in peers}) == 1:
            return
