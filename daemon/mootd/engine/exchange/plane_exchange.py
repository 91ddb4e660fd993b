"""The exchange of one plane with other replicas: carrying out what sessions decide.

Invariant: whatever comes in belongs to the plane it came in for, and founds none that must not be shared: it is checked
here, once more, where bytes enter. Signatures are verified outside the write transaction that takes batches in; events
are decoded one batch after another in it, so that they are in a processor's cache while they are applied.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.messages import Message
from moot_protocol.exchange.sync import DigestAlarm, Effect, ForkSeen, InStep, Send, Session, Store
from moot_protocol.limits import SYNC_MESSAGE_BYTES
from moot_protocol.log.batch import Batch, Link, Outline, decode_events, decode_signed
from moot_protocol.merge import kinds
from moot_protocol.trust.charter import opening_value
from moot_protocol.trust.genesis import decode_genesis, plane_id
from mootd.engine.commit import Committer
from mootd.engine.exchange.receive import Outcome, keep_proof, receive
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.state import REPLICA_KEY, State
from mootd.engine.stored.shared_plane import SHARED_KINDS, SharedPlane
from mootd.engine.unit import Unit

Also = Callable[[Unit, Sequence[Link]], None]
"""What is done in the transaction that takes batches in."""

EVENTS_AT_ONCE: Final = 2500
"""Events after which a transaction that takes in batches is committed: what it changes is in memory until then."""
EVENTS_BEFORE_OTHERS: Final = 1000
"""Events after which it is committed as soon as anybody else waits for one."""


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
        self, replica: State, plane: SharedPlane, commit: Committer, *, message_bytes: int = SYNC_MESSAGE_BYTES
    ) -> None:
        self.log = StoredLog(replica, plane, commit)
        self.plane = plane
        self._me = replica.signer(REPLICA_KEY)
        self._commit = commit
        self._message_bytes = message_bytes
        self.also: Also | None = None
        """Called with what links batches as they are taken in, in the same transaction."""
        self._sessions: dict[bytes, Session] = {}
        self.alarms: dict[bytes, DigestAlarm] = {}
        """peer → the digests that differed although the frontiers were equal, until they agree again."""
        self.in_step: set[bytes] = set()
        """Peers that had the same frontier and digest when they last spoke."""

    def start(self, peer: bytes) -> list[Outgoing]:
        """Begin a round with a peer, whatever became of earlier ones."""
        self.in_step.discard(peer)
        return self._carry_out(peer, self._session(peer).start()).outgoing

    def ask_anew(self) -> None:
        """Ask all peers again for values that they didn't have: the line to them is new, or somebody waits."""
        for session in [*self._sessions.values()]:  # others may come meanwhile
            session.ask_anew()

    def forget(self, peer: bytes) -> None:
        """Let go of a peer; what it says next begins anew."""
        self._sessions.pop(peer, None)
        self.in_step.discard(peer)
        self.alarms.pop(peer, None)

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


def take_in(commit: Committer, plane: SharedPlane, received: Sequence[bytes], also: Also | None = None) -> Stored:
    """Verify batches of a plane outside a write transaction, and take them in, doing `also` with it."""
    signed, malformed = list[Outline](), list[MalformedError]()
    for data in received:
        try:
            signed.append(_signed_of(plane, data))
        except MalformedError as error:
            malformed.append(error)
    outcomes, ids, begun = list[Outcome](), set[bytes](), 0
    while begun < len(signed):
        taken = commit(partial(_receive_some, plane=plane, signed=signed[begun:], also=also))
        begun += len(taken.outcomes) + len(taken.malformed)
        outcomes += taken.outcomes
        malformed += taken.malformed
        ids |= taken.ids
    return Stored(outcomes, malformed, frozenset(ids))


def _signed_of(plane: SharedPlane, data: bytes) -> Outline:
    """Verify a batch that came in for a plane.

    Raises:
        MalformedError: nobody signed it, or it is of another plane.
    """
    outline = decode_signed(data)
    if outline.header.plane != plane.id:
        raise MalformedError("a batch of another plane than the message it came in", code=Code.WRONG_PLANE)
    return outline


def _check_founding(plane: SharedPlane, batch: Batch) -> None:
    """See that a batch founds no plane that must not be shared.

    Raises:
        MalformedError: `wrong_plane`: it does.
    """
    document = opening_value(batch.events[0], kinds.GENESIS) if batch.header.first == 1 else None
    if (
        isinstance(document, bytes)
        and plane_id(document) == plane.id
        and decode_genesis(document).kind not in SHARED_KINDS
    ):
        raise MalformedError("the genesis of a plane that must not be shared", code=Code.WRONG_PLANE)


def _receive_some(unit: Unit, plane: SharedPlane, signed: Sequence[Outline], also: Also | None) -> Stored:
    """Take in the first of these batches, at least one, as many as one transaction should."""
    outcomes, malformed, links, events = list[Outcome](), list[MalformedError](), list[Link](), 0
    for outline in signed:
        if events >= (EVENTS_BEFORE_OTHERS if unit.replica.others_wait() else EVENTS_AT_ONCE):
            break
        events += outline.header.count
        try:
            batch = decode_events(outline)
            _check_founding(plane, batch)
        except MalformedError as error:
            malformed.append(error)
            continue
        outcomes.append(receive(unit, batch))
        links.append(batch.link)
    if also is not None:
        also(unit, links)
    return Stored(outcomes, malformed, frozenset(link.id for link in links))
