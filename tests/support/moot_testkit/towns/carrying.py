"""What a remote does between two replicas, without the remote: a queue filled from one log, and taken in by another."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from moot_protocol.crypto import SeedSigner
from moot_protocol.exchange.messages import Batches, ForkProof, Message, decode_message
from moot_protocol.limits import OUTBOX_BYTES, OUTBOX_FRAMES
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.sealing.frame import open_frame, seal
from moot_protocol.sealing.siv import NONCE_BYTES
from moot_protocol.trust.ticket import Ticket
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.town import PROJECT, START_MS, Member
from mootd.config import OutboxConfig
from mootd.edges.entropy import SeededEntropy
from mootd.engine.exchange import carried
from mootd.engine.exchange.filling import Portion, portions, queue
from mootd.engine.exchange.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.exchange.plane_exchange import take_in
from mootd.engine.exchange.receive import keep_proof
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.membership.charter_writing import found_town
from mootd.engine.membership.inviting import Invited, invite
from mootd.engine.membership.joining import advance, join, present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out

REMOTE = 7
ROOM = 1500
"""Bytes of a message: some two or three small batches."""


def commit_of(desk: Desk | Member) -> Any:
    """Carries out work in a transaction of a replica."""

    def commit(work: Callable[[Unit], Any]) -> Any:
        with desk.replica.transaction() as unit:
            return work(unit)

    return commit


def log_of(desk: Desk | Member, plane: PlaneRow | None = None) -> StoredLog:
    """A plane as sessions see it: the ledger, unless another is named."""
    return StoredLog(desk.replica, SharedPlane(plane or desk.replica.ledger), commit_of(desk))


def take_message(desk: Desk | Member, message: Message, plane: PlaneRow | None = None) -> None:
    """Take in what a message brings."""
    commit = commit_of(desk)
    match message:
        case Batches():
            assert not take_in(commit, SharedPlane(plane or desk.replica.ledger), message.batches).malformed
        case ForkProof():
            commit(lambda unit: keep_proof(unit, message))
        case _:
            raise AssertionError(message)


class Sender:
    """A replica with a queue for one remote.

    Args:
        desk: the replica.
        room: bytes of a message.
        most_frames: the queue's cap.
        most_bytes: the queue's cap in bytes.
        sealed: how messages are sealed; by default not at all.
    """

    def __init__(
        self,
        desk: Desk | Member,
        *,
        room: int = ROOM,
        most_frames: int = OUTBOX_FRAMES,
        most_bytes: int = OUTBOX_BYTES,
        sealed: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.desk = desk
        self.room = room
        self.sealed = sealed
        self.plane = SharedPlane(desk.replica.ledger)
        self._commit = commit_of(desk)
        desk.replica.outbox_caps = OutboxConfig(most_frames, most_bytes)

    def in_outbox(self, work: Callable[[Outbox], Any]) -> Any:
        """Do something with the queue in a transaction."""
        return self._commit(lambda unit: work(Outbox(unit.transaction, REMOTE, unit.replica.outbox_caps)))

    def lacking(self) -> list[Portion]:
        """What the remote lacks, as it would be queued."""
        with self.desk.replica.read() as reader:
            known = carried.carried(reader, REMOTE, self.plane.number)
        return list(portions(log_of(self.desk), known, self.room))

    def fill(self, most: int | None = None) -> int:
        """Queue what the remote lacks, or the first so many messages of it; how many frames."""
        lacking = self.lacking()[:most]
        for portion in lacking:
            frame = self.sealed(portion.message)
            self._commit(partial(queue, remote=REMOTE, plane=self.plane, frame=frame, portion=portion))
        return len(lacking)

    def rewind(self) -> int:
        """Go back to before what was dropped; how many feeds do."""
        return int(self._commit(lambda unit: carried.apply_rewinds(unit.transaction, REMOTE, self.plane.number)))

    def frames(self) -> list[tuple[int, OutFrame]]:
        """What is in the queue."""
        with self.desk.replica.read() as reader:
            return list(OutboxReader(reader, REMOTE).frames())

    def waiting(self) -> list[tuple[int, OutFrame]]:
        """What no remote has acknowledged yet."""
        return [(number, frame) for number, frame in self.frames() if not frame.published_ms]

    def retire(self, numbers: Sequence[int]) -> None:
        """Take frames away."""
        self.in_outbox(lambda outbox: outbox.retire(numbers))

    def publish(self, number: int) -> None:
        """Note that a remote without memory has acknowledged a frame."""
        self.in_outbox(lambda outbox: outbox.mark_published(number, START_MS))

    def drain(self, take: Callable[[bytes], None]) -> None:
        """Hand out all that waits, and go on until the remote lacks nothing, never queueing more than there is room."""
        for _ in range(1000):
            if not self.waiting():
                self.fill(1)
            waiting = self.waiting()
            for _, frame in waiting:
                take(frame.frame)
            self.retire([number for number, _ in waiting])
            if not waiting and not self.rewind():
                return
        raise AssertionError("the queue is never empty")


# -- Machines of a town ------------------------------------------------------------------------------------------
def founder(name: str = "founder") -> Member:
    """A machine with a town and the project `demo`, its ledger never exchanged so far."""
    member = Member(name, 1)
    member.commit(lambda unit: found_town(unit, SeedSigner(seed(f"{name} recovery")).public))
    member.commit(lambda unit: carry_out(unit, InitProject(actor="ada", prefix=PROJECT)))
    return member


def newcomer(name: str = "newcomer") -> Member:
    """A machine without a town."""
    return Member(name, 2)


def create(member: Member, title: str = "a title", plane: str = "") -> None:
    """Create an issue of the project `demo`."""
    request = Create(actor="ada", project=PROJECT, plane=plane, fields=IssueFields(title=title))
    member.commit(lambda unit: carry_out(unit, request))


def invited(member: Member, role: Role = Role.WRITER, expires_ms: int = 0) -> Invited:
    """A new invite to a member's ledger."""
    return member.commit(lambda unit: invite(unit, unit.replica.ledger, role, expires_ms, ()))


def plane_of(member: Member, plane: bytes) -> PlaneRow:
    """A plane of a member by its 16 bytes."""
    return next(row for row in member.replica.planes.values() if row.id == plane)


def send(source: Member, target: Member, plane: bytes | None = None) -> None:
    """Bring all that one holds of a plane to the other, and do there what then becomes possible."""
    wanted = plane or source.ledger.id
    held = plane_of(target, wanted)
    for portion in portions(log_of(source, plane_of(source, wanted)), {}, ROOM):
        take_message(target, decode_message(portion.message), held)
    advance(target.replica, held.number, PlaneKeys(target.keys, wanted), target.commit)


def joined(member: Member, ticket: Ticket) -> PlaneRow:
    """The plane of a ticket, which a member joins."""
    return member.commit(lambda unit: join(unit, ticket)).plane


def sealer(member: Desk | Member) -> Callable[[bytes], bytes]:
    """Seals messages under the present epoch of a member's ledger."""
    plane = member.replica.ledger
    keys, entropy = PlaneKeys(member.keys, plane.id), SeededEntropy(b"nonces")
    epoch = present_epoch(member.replica, plane)
    assert epoch is not None
    key = keys.sealing_key(epoch)
    return lambda message: seal(key, keys.topic, entropy.bytes(NONCE_BYTES), message)


def opener(member: Desk | Member) -> Callable[[bytes], bytes]:
    """Opens frames of a member's ledger."""
    keys = PlaneKeys(member.keys, member.replica.ledger.id)
    return lambda frame: open_frame(keys.key_of, keys.topic, frame)
