"""Acceptance from its definition, on lists of batches, all paths tried: plain, slow, and obviously right.

Nothing is shared with `moot_protocol` but decoding and the verifying of signatures.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from moot_protocol.codec import decode_value
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.log.event import Event
from moot_protocol.trust.charter import InviteProof, is_proof_of
from moot_protocol.trust.genesis import decode_genesis

Way = list[Batch]
"""The batches that lead from number 1 to one of them."""
NEVER = 2**64
RANKS = {"reader": 0, "writer": 1, "admin": 2}


# -- Ways through a feed ---------------------------------------------------------------------------------------------
def paths(batches: Iterable[Batch]) -> list[Way]:
    """Every linked path from number 1 to a batch."""
    found: list[Way] = []
    for batch in sorted(batches, key=lambda batch: batch.header.first):
        before: list[Way] = (
            [[]]
            if batch.header.first == 1
            else [
                way
                for way in found
                if way[-1].id == batch.header.prev and way[-1].header.hlc_last < batch.events[0].skeleton.hlc
            ]
        )
        for way in before:
            kind = (way or [batch])[0].events[0].skeleton.kind
            needs_all = kind in {"genesis", "charter"} or (not way and kind == "certificate")
            if batch.is_complete or not needs_all:
                found.append([*way, batch])
    return found


def first_fork(batches: Iterable[Batch]) -> int:
    """The lowest number at which two different batches begin."""
    firsts = [first for first, _ in {(batch.header.first, batch.id) for batch in batches}]
    return min((first for first in firsts if firsts.count(first) > 1), default=NEVER)


def trunk(ways: Iterable[Way], forked_at: int) -> Way:
    """The longest path before the first fork."""
    return max((way for way in ways if way[-1].header.first < forked_at), key=len, default=[])


def holds(batch: Batch, n: int) -> bool:
    """Whether a batch has an event of this number."""
    return any(event.n == n for event in batch.events)


def cut(pins: Sequence[tuple[Way, int]], otherwise: Way) -> tuple[Way, int]:
    """The path to go along and the number to go up to."""
    if not pins:
        return otherwise, otherwise[-1].header.last if otherwise else 0
    prefixes = [pins[0][0][:length] for length in range(len(pins[0][0]) + 1)]
    way = next(way for way in reversed(prefixes) if all(other[: len(way)] == way for other, _ in pins))
    n = min(n for _, n in pins)
    return way, min(n, way[-1].header.last) if way else 0


# -- What is said ----------------------------------------------------------------------------------------------------
class Said(NamedTuple):
    """Something that a charter says, and that is none of the void events."""

    event: Event
    key: bytes
    """The key that its entity stands for."""
    name: str
    value: Any


def said_in(way: Way, upto: int) -> list[Said]:
    """What a charter says on a path up to a number; these worlds have one change in each event."""
    found = []
    for event in (event for batch in way for event in batch.events if event.n <= upto):
        change, values = event.skeleton.changes[0], event.values() or []
        key, value = key_from_text(event.skeleton.entity), values[0] if values else None
        if key is not None and (change.removes or is_sound(change.key, value)):
            found.append(Said(event, key, change.key, None if change.removes else value))
    return found


def is_sound(name: str, value: Any) -> bool:
    """Whether a value is what its key asks for, as far as these worlds get it wrong."""
    match name, value:
        case "end", [int(n), bytes(batch), bytes()]:
            return (n == 0) == (batch == ZEROS)
        case "invite", [str(role), *_]:
            return role != "admin"
        case (("admission" | "close" | "charter"), list()):
            return True
    return False


def superseded(said: Said, charter: "Charter") -> bool:
    """Whether something else in the same charter stands over an end."""
    name = (said.event.n, said.event.leaf[:8])
    return any(
        (n, leaf8) == name
        for other in charter.said
        if (other.key, other.name) == (said.key, said.name)
        for index, n, leaf8 in other.event.skeleton.changes[0].over
        if index == 0
    )


class Charter(NamedTuple):
    """A town that has a role."""

    town: bytes
    depth: int
    role: str
    way: Way
    n: int
    said: list[Said]
    removers: set[bytes]
    tied: bool = False

    def all_of(self, name: str, key: bytes | None = None) -> list[Said]:
        """What it says under a key's name, about one key or any."""
        return [said for said in self.said if said.name == name and key in {None, said.key} and said.value is not None]

    def invites(self, key: bytes, kind: str) -> Any:
        """The first `invite`, or the first `close`, of an invite key."""
        return next((said.value for said in self.all_of(kind, key)), None)


Charters = Mapping[bytes, Charter]


class Standing(NamedTuple):
    """What becomes of one author."""

    n: int
    batch: bytes
    role: str
    """Empty where nothing is known of it."""


class NaiveAcceptance:
    """All that follows from a set of batches.

    Args:
        plane: the plane's 16 bytes.
        held: (batch, whether it is parked).
        proved: (author, number) of forks that are known by a proof.
    """

    def __init__(
        self, plane: bytes, held: Iterable[tuple[Batch, bool]], proved: Iterable[tuple[bytes, int]] = ()
    ) -> None:
        held = list(held)
        self.plane = plane
        self.authors = {batch.header.author for batch, _ in held}
        by_author = {author: [each for each in held if each[0].header.author == author] for author in self.authors}
        linked = {a: {batch.id: batch for batch, parked in of if not parked} for a, of in by_author.items()}
        self.ways = {author: paths(batches.values()) for author, batches in linked.items()}
        self.forks = {author: first_fork(batch for batch, _ in of) for author, of in by_author.items()}
        for author, first in proved:
            self.forks[author] = min(first, self.forks.get(author, NEVER))
        documents = [
            (author, (way[0].events[0].values() or [None])[0])
            for author, ways in self.ways.items()
            for way in ways
            if way[0].events[0].skeleton.kind == "genesis"
        ]
        founders = [(author, decode_genesis(each)) for author, each in documents if _is_of(plane, each)]
        self.genesis = next((genesis for author, genesis in founders if genesis.town == author), None)
        self.charters: dict[bytes, Charter] = {}
        if self.genesis is not None:
            self._by_depth(self.genesis.town, self.genesis.recovery)

    # -- Depth by depth ----------------------------------------------------------------------------------------------
    def _by_depth(self, founder: bytes, recovery: bytes) -> None:
        self.charters[recovery] = self._charter(recovery, 0, "admin")
        for depth in range(1, len(self.authors) + 2):
            roles: dict[bytes, list[str]] = {founder: ["admin"]} if depth == 1 else {}
            for writer in [each for each in self.charters.values() if (each.depth, each.role) == (depth - 1, "admin")]:
                for town, role in self._lets_in(writer):
                    is_new = town not in self.charters and town != founder
                    if is_new and self._opens(town) and not self._removals(town, writer.depth):
                        roles.setdefault(town, []).append(role)
            level = {
                town: self._charter(town, depth, max(given, key=lambda role: RANKS[role]))
                for town, given in roles.items()
                if town == founder or not self._pinned_as(town, self.charters, own=True)
            }
            together = {**self.charters, **level}
            for town, charter in level.items():
                peers = {key: together[key] for key in level}
                if town != founder and charter.removers and self._pinned_as(town, together, peers, own=False):
                    level[town] = charter._replace(way=[], n=0, said=[], tied=True)
            self.charters.update(level)

    def _lets_in(self, writer: Charter) -> Iterable[tuple[bytes, str]]:
        for said in writer.all_of("admission"):
            yield said.key, said.value[1]
        for town in self.authors if writer.depth else ():
            for way in self.ways[town]:
                proof = _proof(way[0].events[0], town)
                invite = writer.invites(proof.invite, "invite") if proof else None
                if proof is None or invite is None or invite[1] not in {ZEROS, town} or town == writer.town:
                    continue
                closed = writer.invites(proof.invite, "close")
                if (closed is None or town in closed) and is_proof_of(proof, self.plane, town):
                    yield town, invite[0]

    def _opens(self, town: bytes) -> bool:
        return any(self._is_charter(way, town) for way in self.ways.get(town, []))

    def _is_charter(self, way: Way, town: bytes) -> bool:
        opening = way[0].events[0]
        if self.genesis is not None and town == self.genesis.town:
            return opening.skeleton.kind == "genesis" and _is_of(self.plane, (opening.values() or [None])[0])
        return opening.skeleton.kind == "charter" and opening.skeleton.entity == key_text(town)

    def _charter(self, town: bytes, depth: int, role: str) -> Charter:
        ways = [way for way in self.ways.get(town, []) if self._is_charter(way, town)]
        removals = self._removals(town, depth)
        own = [] if depth == 0 else [pin for way in ways if (pin := self._own_end(way, town))]
        if removals:
            way, n = cut([pin for _, pin in removals], [])
            inside = [pin for pin in own if pin[0] == way[: len(pin[0])] and pin[1] <= n]
            removers = {writer for writer, _ in removals} | ({town} if inside else set())
            n = min([n, *(n for _, n in inside)])
        else:
            before = trunk(self.ways.get(town, []), self.forks.get(town, NEVER))
            way, n = cut(own, before if before in ways else [])
            removers = {town} if own else set()
        opening = trunk(self.ways.get(town, []), self.forks.get(town, NEVER))[:1]
        if n == 0 and opening and self._is_charter(opening, town):
            way, n = opening, 1  # what others rest on travels whatever pins it
        return Charter(town, depth, role, way, n, said_in(way, n), removers)

    def _own_end(self, way: Way, town: bytes) -> tuple[Way, int] | None:
        """Where a path first ends itself: with the first event of a batch, which names the one right before it."""
        for length in range(1, len(way)):
            event = way[length].events[0]
            value = [event.n - 1, way[length - 1].id, town]
            if (event.skeleton.kind, event.values()) == ("end", [value]) and event.skeleton.entity == key_text(town):
                return way[: length + 1], event.n
        return None

    # -- Ends --------------------------------------------------------------------------------------------------------
    def _ends(
        self, author: bytes, town: bytes, writers: Iterable[Charter], charters: Charters
    ) -> list[tuple[bytes, tuple[Way, int]]]:
        """(writer, pin) of the ends in these writers' charters of an author as one of a town, but for void ones."""
        found = []
        for charter in {each.town: each for each in writers}.values():
            for said in charter.all_of("end", author):
                n, batch, named = said.value
                pin = self._pin(author, town, n, batch, charters)
                if named == town and pin is not None and not superseded(said, charter):
                    found.append((charter.town, pin))
        return found

    def _pin(self, author: bytes, town: bytes, n: int, batch: bytes, charters: Charters) -> tuple[Way, int] | None:
        if n == 0:
            return [], 0
        ways = self.ways.get(author, [])
        way = next((way for way in ways if way[-1].id == batch), None)
        if way is None:
            way = trunk(ways, self.forks.get(author, NEVER))
            return (way, n) if not way or self._belongs(way, author, charters) == town else None
        return (way, n) if holds(way[-1], n) and self._belongs(way, author, charters) == town else None

    def _above(self, depth: int) -> list[Charter]:
        return [each for each in self.charters.values() if each.role == "admin" and each.depth < depth]

    def _removals(self, town: bytes, depth: int) -> list[tuple[bytes, tuple[Way, int]]]:
        return self._ends(town, town, [each for each in self._above(depth) if each.town != town], self.charters)

    def _belongs(self, way: Way, author: bytes, charters: Charters) -> bytes:
        """The town that a path is of: itself for a charter, empty for none."""
        if self._is_charter(way, author):
            return author
        certificate = self._certificate(way, author)
        charter = charters.get(certificate[0]) if certificate else None
        if certificate is None or charter is None or not charter.depth:
            return b""
        town, _, signer = certificate
        invite = charter.invites(signer, "invite")
        return town if signer == town or (invite is not None and invite[1] == town) else b""

    def _certificate(self, way: Way, author: bytes) -> tuple[bytes, str, bytes] | None:
        """(town, role, signer) of the certificate that a path opens with."""
        opening = way[0].events[0]
        if opening.skeleton.kind != "certificate" or opening.skeleton.entity != key_text(author):
            return None
        body, _, signer = (opening.values() or [None])[0]
        _, plane, town, subject, _, role = decode_value(body)
        genesis = self.genesis
        if (plane, subject) != (self.plane, author) or genesis is None or author in {genesis.town, genesis.recovery}:
            return None
        return town, role, signer

    # -- Replicas ----------------------------------------------------------------------------------------------------
    def _replica_pins(self, author: bytes, town: bytes, charters: Charters, *, own: bool) -> list[tuple[Way, int]]:
        charter = charters[town]
        writers = [*self._above(charter.depth), *([charter] if own else [])]
        ends = self._ends(author, town, writers, charters)
        listed = {writer for writer, _ in ends}
        removers = {each for each in charter.removers if own or each != town}
        return [*(pin for _, pin in ends), *(([], 0) for each in removers if each not in listed)]

    def _pinned_as(self, author: bytes, charters: Charters, among: Charters | None = None, *, own: bool) -> bool:
        """Whether a key's feed is pinned as a replica's of one of these towns."""
        named = {self._belongs(way, author, charters) for way in self.ways.get(author, [])} - {b"", author}
        return any(
            bool(pins) and bool(cut(pins, [])[0])
            for town in named
            if among is None or town in among
            if (pins := self._replica_pins(author, town, charters, own=own))
        )

    def of(self, author: bytes) -> Standing:
        """What becomes of an author."""
        charter = self.charters.get(author)
        if self.genesis is None:
            return Standing(0, ZEROS, "")
        if charter is not None and (charter.n or charter.tied):
            return Standing(charter.n, _batch_at(charter.way, charter.n), charter.role)
        ways = self.ways[author]
        named = {self._belongs(way, author, self.charters) for way in ways} - {b"", author}
        pinned = {town: pins for town in named if (pins := self._replica_pins(author, town, self.charters, own=True))}
        if not pinned:
            way, n = cut([], trunk(ways, self.forks[author]))
        else:
            left = [(self.charters[town].depth, *cut(pins, [])) for town, pins in pinned.items()]
            left = [each for each in left if each[1]]
            depth = min((each[0] for each in left), default=0)
            best = [each[1:] for each in left if each[0] == depth]
            way, n = best[0] if len(best) == 1 else ([], 0)
        role = self._role(way, author) if way else ""
        n = min(n, 1) if role == "reader" else n if role else 0
        return Standing(n, _batch_at(way, n), role if n else "")

    def _role(self, way: Way, author: bytes) -> str:
        town = self._belongs(way, author, self.charters)
        certificate = self._certificate(way, author)
        if not town or town == author or certificate is None:
            return ""
        _, role, signer = certificate
        roles = [role, self.charters[town].role]
        if signer != town:
            closed = self.charters[town].invites(signer, "close")
            if closed is not None and author not in closed:
                return ""
            roles.append(self.charters[town].invites(signer, "invite")[0])
        return min(roles, key=lambda role: RANKS[role])


def _batch_at(way: Way, n: int) -> bytes:
    return next((batch.id for batch in way if holds(batch, n)), ZEROS)


def _is_of(plane: bytes, document: Any) -> bool:
    return isinstance(document, bytes) and sha256(b"moot/plane/1\0" + document).digest()[:16] == plane


def _proof(opening: Event, town: bytes) -> InviteProof | None:
    value = (opening.values() or [None])[0]
    if opening.skeleton.kind != "charter" or opening.skeleton.entity != key_text(town) or len(value) != 3:
        return None
    return InviteProof(value[1], value[2])
