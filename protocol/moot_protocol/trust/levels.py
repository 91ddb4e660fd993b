"""Depth by depth: who is let in, how deep each town stands, and how far its charter counts.

Invariant: a charter's fate depends only on charters of strictly shallower towns, and on itself. So the order of levels
is the order of evaluation, no clock takes part, and peers can't remove one another. The recovery key has depth 0, the
founder 1, any other town one more than its shallowest effective admitter.

What the rules leave open is decided so:

- *A town* is let in by an `admission` of an admin, or by an invite of one that the first event of its charter proves;
  either way it has a part in the plane only once a first event of its charter is held. The proof holds by its signature
  in whatever branch it stands, as the genesis does by its hash.
- *Its role* is the highest of those that its admitters at the shallowest depth give it. What deeper ones say of it
  counts for nothing: it could rest on the town itself. What a charter once gave can't be lowered in it, only ended.
- *A removal* is an effective end of a charter by another, strictly shallower admin. It voids admissions by towns deeper
  than the remover. Admissions by peers of the remover, or by shallower ones, stand, and what the town wrote counts up
  to the pins; where no admission stands, all that it wrote lapses. So whoever removes a town that a deeper one
  admitted, and wants to keep what it wrote, admits it as well.
- *Each remover lists for itself*: an author that one of them doesn't list ends at 0, whoever else lists it. Else a
  thief of the town's key would list fresh keys in time. A charter that ends itself lists with the pins in it.
- *A removal is undone* by the remover, which takes its ends back (`over`), by an admission that makes the town no
  deeper than the remover, or when the remover's charter is cut before it. No other charter takes a town's ends back.
- *The first event* of a charter that was let in counts whatever pins it, unless the feed forks there: whether its
  replicas have a part rests on its being held, and of the founder's whether anything has. What counts is what replicas
  name to one another, so what nobody counted would never reach those who come later.
- *A charter's own end* counts where shallower towns' pins leave it standing; without such pins, towards its branch.
- *The recovery key's* charter holds admissions and ends only: it has no replicas. Nobody ends it, and where it forks it
  stands before the fork for ever. Without its charter held, nothing is missing.
- *A town key that a replica's certificate names too* is a feed that forks at its first batch. A strictly shallower
  town's pinned replica branch holds against the charter: then the key is no town's. Against a charter of the same depth
  only pins of towns shallower than both count; pinned both, none holds. A deeper one loses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, cast

from moot_protocol import crypto
from moot_protocol.errors import MalformedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import GENESIS, Role
from moot_protocol.trust.branches import (
    BatchRef,
    Feeds,
    Pin,
    bound,
    holding_of,
    opening_of,
    path_from,
    previous_of,
)
from moot_protocol.trust.charter import End, InviteProof, Opened, is_proof_of, opened_by, opening_value
from moot_protocol.trust.charter_reading import Reading
from moot_protocol.trust.genesis import Genesis, decode_genesis, plane_id
from moot_protocol.trust.towns import (
    FOUNDER_DEPTH,
    RECOVERY_DEPTH,
    Charter,
    TownReason,
    Towns,
    TownStanding,
    is_above,
    pin_on,
    pins_of,
    town_of,
)

RECOVERY_NAME: Final = "recovery"


class Readings:
    """What charters say, remembered by batch, so that a charter that grew is read on where it was read up to.

    A batch's id names all that leads to it: what is remembered is never wrong, whoever asks.
    """

    _KEPT: Final = 2
    """Readings remembered of a charter: before and after a cut."""

    def __init__(self) -> None:
        self._known: dict[bytes, dict[bytes, Reading]] = {}

    def upto(self, feeds: Feeds, author: bytes, last: BatchRef | None, n: int) -> Reading:
        """What a charter says up to an event of a linked batch; not to be changed."""
        if last is None:
            return Reading()
        if n >= last.last:
            return self._whole(feeds, author, last)
        before = Reading() if last.first == 1 else self._whole(feeds, author, previous_of(feeds, author, last))
        reading = before.copy()
        reading.take(feeds.batch(author, last), n)
        return reading

    def _whole(self, feeds: Feeds, author: bytes, last: BatchRef) -> Reading:
        known = self._known.setdefault(author, {})
        path = list(path_from(feeds, author, last, known))
        if not path:
            return known[last.id]
        first = path[-1]
        before = None if first.first == 1 else known.get(previous_of(feeds, author, first).id)
        reading = Reading() if before is None else before.copy()
        for ref in reversed(path):
            reading.take(feeds.batch(author, ref))
        known[last.id] = reading
        while len(known) > self._KEPT:
            del known[next(iter(known))]
        return reading


def read_towns(plane: bytes, feeds: Feeds, readings: Readings | None = None) -> Towns | None:
    """Evaluate the charters of a plane, depth by depth; None while its genesis isn't held.

    Args:
        plane: the plane's 16 bytes.
        feeds: what is held of it.
        readings: what is remembered of its charters; changes nothing but the time it takes.
    """
    genesis = _find_genesis(plane, feeds)
    return None if genesis is None else _Evaluation(plane, genesis, feeds, readings or Readings()).towns()


# -- Who opens a charter -----------------------------------------------------------------------------------------
def _find_genesis(plane: bytes, feeds: Feeds) -> Genesis | None:
    for author in feeds.charters():
        for opening in feeds.openings(author):
            genesis = _genesis_of(plane, author, opening.event)
            if genesis is not None:
                return genesis
    return None


def _genesis_of(plane: bytes, author: bytes, opening: Event) -> Genesis | None:
    """The plane's genesis, where this event of this author holds it."""
    document = opening_value(opening, GENESIS)
    if not isinstance(document, bytes) or plane_id(document) != plane:
        return None
    try:
        genesis = decode_genesis(document)
    except MalformedError:
        return None
    return genesis if genesis.town == author else None


_is_proof: Final = lru_cache(maxsize=4096)(is_proof_of)


class _Admitted(NamedTuple):
    """An admission of a town that counts."""

    writer: bytes
    role: Role
    name: str


# -- Depth by depth ----------------------------------------------------------------------------------------------
class _Evaluation:
    """One evaluation of all charters."""

    def __init__(self, plane: bytes, genesis: Genesis, feeds: Feeds, readings: Readings) -> None:
        self._plane = plane
        self._genesis = genesis
        self._feeds = feeds
        self._readings = readings
        self._charters: dict[bytes, Charter] = {}
        self._ends: dict[bytes, list[tuple[bytes, End]]] = {}
        self._others: dict[bytes, TownReason] = {}
        """Towns that were named and have no role, and why."""
        self._known = frozenset(feeds.authors())
        self._openings = {author: self._opened(author) for author in feeds.charters()}
        self._proofs: dict[bytes, list[tuple[bytes, InviteProof]]] = {}
        for author in sorted(self._openings):
            for each in self._openings[author]:
                if each.proof is not None:
                    self._proofs.setdefault(each.proof.invite, []).append((author, each.proof))
        self._towns = Towns(plane, genesis, self._charters, {}, self._ends)

    def _opened(self, author: bytes) -> list[Opened]:
        """What all first events say that open this author's charter."""
        openings = (opened_by(opening.event, author) for opening in self._feeds.openings(author))
        found = [opened for opened in openings if opened is not None]
        return found if found and crypto.is_certifiable(author) else []

    def towns(self) -> Towns:
        """Evaluate all."""
        founder, recovery = self._genesis.town, self._genesis.recovery
        self._settle([self._charter(recovery, RECOVERY_DEPTH, [])])
        above, depth = [recovery], FOUNDER_DEPTH
        while above:
            admitted = self._admitted(above)
            if depth == FOUNDER_DEPTH:
                admitted.pop(founder, None)
                admitted[founder] = []
            level = self._level(depth, admitted)
            self._settle(level)
            above, depth = [charter.standing.key for charter in level if charter.is_admin], depth + 1
        return self._towns._replace(standings=self._standings())

    def _settle(self, level: Iterable[Charter]) -> None:
        for charter in level:
            key, is_admin = charter.standing.key, charter.is_admin
            self._charters[key] = charter
            self._others.pop(key, None)
            for author, end in charter.reading.ends:
                if is_admin or end.town == key:
                    self._ends.setdefault(author, []).append((key, end))

    # -- Who is let in -------------------------------------------------------------------------------------------
    def _admitted(self, above: Iterable[bytes]) -> dict[bytes, list[_Admitted]]:
        """Town key → the admissions that count, of all that these towns of one depth let in and that are no deeper."""
        found: dict[bytes, list[_Admitted]] = {}
        for writer in above:
            for town, role, name in self._admissions(self._charters[writer]):
                if town in self._charters:
                    continue
                is_voided = town in self._ends and self._is_voided(town, writer)
                reason = TownReason.REMOVED if is_voided else self._missing(town)
                if reason is TownReason.NONE:
                    found.setdefault(town, []).append(_Admitted(writer, role, name))
                else:
                    self._others[town] = reason
        return found

    def _admissions(self, charter: Charter) -> Iterator[tuple[bytes, Role, str]]:
        """(town, role, name) of all that a charter lets in."""
        for town, admission in charter.reading.admissions.items():
            yield town, admission.role, admission.name
        if not charter.writes_epochs or not self._proofs:
            return
        for key, proofs in self._proofs.items():
            invitation = charter.reading.invitation(key)
            if invitation is None:
                continue
            invite, counting = invitation
            for town, proof in proofs:
                if town == charter.standing.key or invite.town not in {ZEROS, town}:
                    continue
                if not _is_proof(proof, self._plane, town):
                    continue
                if counting is None or town in counting:
                    yield town, invite.role, ""
                elif town not in self._charters:
                    self._others[town] = TownReason.INVITE_CLOSED

    def _missing(self, town: bytes) -> TownReason:
        """Why a town that is let in has no part yet."""
        if town not in self._known:
            return TownReason.NO_CHARTER
        if self._openings.get(town):
            return TownReason.NONE
        return TownReason.REPLICA if self._feeds.openings(town) else TownReason.NO_CHARTER

    def _is_voided(self, town: bytes, admitter: bytes) -> bool:
        """Whether a town shallower than the admitter has removed this one."""
        depth = self._charters[admitter].standing.depth
        return any(True for _ in self._removals(town, depth))

    def _removals(self, town: bytes, depth: int) -> Iterator[tuple[bytes, Pin]]:
        """(remover, pin) of the effective ends of a charter by admins above a depth."""
        for writer, end in self._ends.get(town, ()):
            if end.town == town and writer != town and is_above(self._charters[writer], depth):
                pin = pin_on(self._feeds, town, end, lambda opening: self._opens_charter(town, opening))
                if pin is not None:
                    yield writer, pin

    def _opens_charter(self, town: bytes, opening: Event) -> bool:
        if town == self._genesis.town:
            return _genesis_of(self._plane, town, opening) is not None
        return opened_by(opening, town) is not None

    # -- How far a charter counts --------------------------------------------------------------------------------
    def _level(self, depth: int, admitted: Mapping[bytes, list[_Admitted]]) -> list[Charter]:
        """The towns of one depth."""
        level: dict[bytes, Charter] = {}
        for town in sorted(admitted):
            if self._rivals(town, self._towns):
                self._others[town] = TownReason.REPLICA
            else:
                level[town] = self._charter(town, depth, admitted[town])
        with_peers = self._towns._replace(charters={**self._charters, **level}) if level else self._towns
        return [
            _tied(charter) if charter.removers and self._rivals(town, with_peers, level) else charter
            for town, charter in level.items()
        ]

    def _rivals(self, town: bytes, towns: Towns, peers: Mapping[bytes, Charter] | None = None) -> list[bytes]:
        """Towns of which this town's key is a pinned replica: settled ones, or peers by the pins of shallower ones."""
        openings = self._feeds.openings(town)
        if len(openings) < 2 or town in {self._genesis.town, self._genesis.recovery}:
            return []
        named = {town_of(towns, town, opening.event) for opening in openings} - {b""}
        rivals = [each for each in named if peers is None or each in peers]
        return [each for each in rivals if self._is_pinned_replica(towns, town, each, of_peers=peers is None)]

    def _is_pinned_replica(self, towns: Towns, author: bytes, town: bytes, *, of_peers: bool) -> bool:
        pins = pins_of(towns, self._feeds, author, town, of_peers=of_peers)
        return bool(pins) and bound(self._feeds, author, pins)[0] is not None

    def _charter(self, town: bytes, depth: int, admitted: Sequence[_Admitted]) -> Charter:
        removals = [] if depth == RECOVERY_DEPTH else list(self._removals(town, depth))
        last, n, is_own = self._reach(town, depth, [pin for _, pin in removals])
        removers = sorted({writer for writer, _ in removals} | ({town} if is_own else set()))
        if is_own and not removals:
            reason = TownReason.ENDED
        elif removals:
            reason = TownReason.REMOVED
        else:
            reason = TownReason.FORKED if self._feeds.forked_at(town) else TownReason.NONE
        role = max((each.role for each in admitted), key=lambda role: role.rank, default=Role.ADMIN)
        reading = self._readings.upto(self._feeds, town, last, n)
        name = self._name(town, admitted, reading)
        admitter = min((each.writer for each in admitted), default=b"")
        standing = TownStanding(town, name, role, depth, admitter, ended=bool(removers), reason=reason)
        return Charter(standing, last, n, reading, tuple(removers))

    def _reach(self, town: bytes, depth: int, pins: Sequence[Pin]) -> tuple[BatchRef | None, int, bool]:
        """The batch of a charter's last accepted event, its number, and whether the charter has ended itself."""
        feeds = self._feeds
        if pins:
            reach, n = bound(feeds, town, pins)
            own = [] if reach is None else self._own_pins(town, [reach])
            own = [pin for pin in own if pin.n <= n]
            n = min([n, *(pin.n for pin in own)])
        else:
            heads = [head for head in feeds.heads(town) if self._opens_charter(town, opening_of(feeds, town, head))]
            own = [] if depth == RECOVERY_DEPTH else self._own_pins(town, heads)
            reach, n = bound(feeds, town, own)
            if reach is not None and not self._opens_charter(town, opening_of(feeds, town, reach)):
                reach, n = None, 0
        opening = feeds.holding(town, 1) if n == 0 else None
        if opening is not None and self._opens_charter(town, opening_of(feeds, town, opening)):
            return opening, 1, bool(own)
        return holding_of(feeds, town, reach, n), n, bool(own)

    def _own_pins(self, town: bytes, heads: Iterable[BatchRef]) -> list[Pin]:
        """Where branches of a charter end themselves.

        One ends with the first event of a batch that names the event right before it: so the end itself still counts
        and travels with the rest, and can only mean the branch on which it stands.
        """
        found = []
        for head in heads:
            for n, end in self._readings.upto(self._feeds, town, head, head.last).own_ends:
                batch = holding_of(self._feeds, town, head, n) if end.n == n - 1 else None
                if batch is not None and batch.first == n and batch.prev == end.batch:
                    found.append(Pin(batch, n))
                    break
        return found

    # -- What they are called ------------------------------------------------------------------------------------
    def _name(self, town: bytes, admitted: Sequence[_Admitted], reading: Reading) -> str:
        if town == self._genesis.recovery:
            return RECOVERY_NAME
        if town == self._genesis.town:
            charters = (self._charters[self._genesis.recovery].reading, reading)
            names = [each.admissions[town].name for each in charters if town in each.admissions]
        else:
            names = [*(each.name for each in sorted(admitted)), self._own_name(town)]
        return next((name for name in names if name not in ("", key_text(town))), "")

    def _own_name(self, town: bytes) -> str:
        openings = self._openings.get(town)
        if not openings:
            return ""
        names = {opened.name for opened in openings}
        return min(names - {key_text(town)}, default="")  # its key stands for the name that a town lacks

    def _standings(self) -> dict[bytes, TownStanding]:
        named = {author: TownReason.NOT_ADMITTED for author, opened in self._openings.items() if opened}
        found = {
            key: _standing((key, self._own_name(key), None, -1, b"", False, reason))
            for key, reason in {**named, **self._others}.items()
        }
        found.update((key, charter.standing) for key, charter in self._charters.items())
        return found


_standing: Final = cast("Callable[[tuple[Any, ...]], TownStanding]", partial(tuple.__new__, TownStanding))
"""A `TownStanding` of all its fields in their order, in a quarter of the time: charters may name many towns."""


def _tied(charter: Charter) -> Charter:
    standing = charter.standing._replace(reason=TownReason.FORKED)
    return charter._replace(standing=standing, last=None, n=0, reading=Reading(), is_tied=True)
