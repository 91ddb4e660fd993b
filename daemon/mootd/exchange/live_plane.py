"""One plane on an open line: sessions with whoever speaks, and the queue handed over as it fills.

Invariant: what is published comes from a session or from the queue, sealed; what comes in is opened before anything is
believed of it. A queued frame retires when every member heard of lately has said that it stands where this replica
stands: a broker's acknowledgement is not delivery.
"""

from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Final, NamedTuple

from moot_protocol.errors import MalformedError
from moot_protocol.frontier import Form, FrontierBody
from moot_protocol.limits import KIB
from moot_protocol.messages import Batches, ForkProof, Message, Want, decode_message
from mootd.engine.exchange import Exchange, Outgoing
from mootd.engine.joining import advance
from mootd.engine.log import PlaneRow
from mootd.engine.members import covered_since, note_in_step, note_seen
from mootd.engine.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.unit import Unit
from mootd.exchange.hub import Hub
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.remotes import Channel, Incoming, Line

MESSAGE_BYTES: Final = 100 * KIB
"""Bytes of a message before it is sealed: the frame stays within what brokers carry."""
FRAME_BYTES: Final = 128 * KIB
FILL_BYTES: Final = 8 * 1024 * KIB
"""Bytes queued before some are published."""
AT_ONCE: Final = 64
"""Frames handed over before the queue is looked at again."""
TELL_MS: Final = 60_000
"""How often a replica tells where it stands while nobody has confirmed what it published: brokers drop frames."""
ZEROS: Final = bytes(32)


class Reply(NamedTuple):
    """A message on its way out."""

    channel: Channel
    frame: bytes


class LivePlane:
    """One plane on one line.

    Args:
        hub: whose threads and commits it uses.
        plane: the plane.
        remote: the remote's number.
        progress: told of what happens.
    """

    def __init__(self, hub: Hub, plane: PlaneRow, remote: int, progress: Progress) -> None:
        self.on_remote: Final = PlaneOnRemote(
            hub.replica, plane, remote, hub.commit, message_bytes=MESSAGE_BYTES, frame_bytes=FRAME_BYTES
        )
        self._hub = hub
        self._remote = remote
        self._progress = progress
        self._exchange = Exchange(hub.replica, self.on_remote.plane, hub.commit, message_bytes=MESSAGE_BYTES)
        self._authors: dict[bytes, bytes] = {}
        """sender's name on this topic → its key, once it has signed something."""
        self._heard: set[bytes] = set()
        """Peers that have said where they stand."""
        self._turn = Lock()
        """Held while the queue is filled or a frame is taken in: what has just come isn't sent back."""
        self._told_n = -1
        """This replica's last event when it last told where it stands."""
        self._told_ms = 0
        """When it did."""
        self._charter_ms = 0
        """When the charter was last sent to somebody who had missed a key."""

    # -- Coming in: in a worker thread -----------------------------------------------------------------------------
    def take(self, incoming: Incoming) -> list[Reply]:
        """Take in a frame; what is to be answered."""
        try:
            message = self.on_remote.open(incoming.frame)
        except MalformedError as error:
            self._progress.note_problems([error])
            return []
        with self._turn:
            return [*self._take(incoming, message), *self._catching_up(incoming.frame)]

    def _catching_up(self, frame: bytes) -> list[Reply]:
        """The charter, where somebody still seals under an earlier key; not every time."""
        now_ms = self._hub.replica.wall.now_ms()
        if not self.on_remote.is_outdated(frame) or 0 <= now_ms - self._charter_ms < TELL_MS:
            return []
        self._charter_ms = now_ms
        return [Reply(Channel.BATCHES, each) for each in self.on_remote.charter_frames()]

    def _take(self, incoming: Incoming, message: Message) -> list[Reply]:
        peer = self._peer(incoming, message)
        if peer is None or peer == self.on_remote.me:
            took = self.on_remote.act(message)
            self._progress.received += took.batches
            self._progress.note_problems(took.problems)
            return []
        before = peer in self._exchange.in_step
        outgoing = self._through_session(peer, message)
        if peer in self._exchange.in_step and (not before or isinstance(message, FrontierBody)):
            if isinstance(message, Batches):
                self.forget_told()  # what it brought is here now, which its sender waits to hear
            number = self.on_remote.plane.number
            self._hub.commit(lambda unit: note_in_step(unit, number, peer))
        return [reply for each in outgoing if (reply := self._reply(each)) is not None]

    def _peer(self, incoming: Incoming, message: Message) -> bytes | None:
        """Who sent a frame, as far as a signature has shown it."""
        if isinstance(message, FrontierBody | Want):
            if self.on_remote.keys.sender(message.sender) == incoming.sender:
                self._authors[incoming.sender] = message.sender
            return message.sender
        return self._authors.get(incoming.sender)

    def _through_session(self, peer: bytes, message: Message) -> list[Outgoing]:
        if isinstance(message, FrontierBody) and not self._begin(peer, message):
            return []
        taken = self._exchange.take_decoded(peer, message)
        self._progress.received += len(taken.outcomes)
        self._progress.note_problems(taken.malformed)
        if isinstance(message, Batches):
            self.on_remote.note_carried(message.batches)  # after whoever waits for them has been told
            advance(self._hub.replica, self.on_remote.plane.number, self.on_remote.keys, self._hub.commit)
        return taken.outgoing

    def _begin(self, peer: bytes, message: FrontierBody) -> bool:
        """Get ready for a frontier; False for one that is stale, or for another.

        One to everybody begins a round: what was asked for in earlier ones is asked for anew, for it may be lost.
        """
        if message.to not in (ZEROS, self.on_remote.me):
            return False
        if not self._hub.commit(lambda unit: note_seen(unit, self.on_remote.plane.number, message)):
            return False
        if message.to == ZEROS:
            self._exchange.start(peer)
        self._exchange.in_step.discard(peer)
        self._heard.add(peer)
        return True

    def _reply(self, outgoing: Outgoing) -> Reply | None:
        sealed = self.on_remote.sealer()
        if sealed is None:
            return self._unsealed(outgoing)
        return Reply(_channel(decode_message(outgoing.message)), sealed(outgoing.message))

    def _unsealed(self, outgoing: Outgoing) -> Reply | None:
        """What a newcomer has to ask before it has the charter that confirms its key: sealed as its ticket said."""
        sealed = self.on_remote.ticket_sealer()
        if sealed is None:
            return None
        return Reply(_channel(decode_message(outgoing.message)), sealed(outgoing.message))

    # -- Going out ---------------------------------------------------------------------------------------------------
    async def hand_over(self, line: Line) -> None:
        """Publish what waits, and then where this replica stands, if it has something new of its own."""
        in_thread = self._hub.in_thread
        while True:
            await in_thread(self._fill)
            waiting = await in_thread(self._waiting)
            await self._publish(line, waiting)
            if not waiting and not await in_thread(self._rewind):
                break
        await self._tell(line)
        await in_thread(self.retire)

    def _fill(self) -> None:
        with self._turn:
            self.on_remote.fill(FILL_BYTES)

    async def _publish(self, line: Line, waiting: Sequence[tuple[int, OutFrame]]) -> None:
        published: list[int] = []
        try:
            for number, frame in waiting:
                await line.publish(self.on_remote.topic, Channel.BATCHES, frame.frame)
                published.append(number)
        finally:
            self._progress.sent += len(published)
            if published:
                await self._hub.in_thread(partial(self._mark, published))

    async def _tell(self, line: Line) -> None:
        n, now_ms = self._own_n(), self._hub.replica.wall.now_ms()
        is_due = not 0 <= now_ms - self._told_ms < TELL_MS
        if n == self._told_n and not (is_due and await self._hub.in_thread(self._is_unconfirmed)):
            return
        reply = await self._hub.in_thread(self._frontier)
        if reply is not None:
            await line.publish(self.on_remote.topic, reply.channel, reply.frame)
            self._told_n, self._told_ms = n, now_ms

    def forget_told(self) -> None:
        """The line is new: whoever is there hasn't heard where this replica stands."""
        self._told_n = -1

    def _own_n(self) -> int:
        replica = self._hub.replica
        number = replica.feed_numbers.get((self.on_remote.plane.number, self.on_remote.me))
        return replica.feeds[number].n if number else 0

    def _frontier(self) -> Reply | None:
        sealed = self.on_remote.sealer() or self.on_remote.ticket_sealer()
        if sealed is None:
            return None
        return Reply(Channel.FRONTIER, sealed(self.on_remote.frontier_message(Form.SUMMARY)))

    def _waiting(self) -> Sequence[tuple[int, OutFrame]]:
        found: list[tuple[int, OutFrame]] = []
        with self._hub.replica.read() as reader:
            for number, frame in OutboxReader(reader, self._remote).frames():
                if frame.plane == self.on_remote.plane.number and not frame.published_ms:
                    found.append((number, frame))
                if len(found) == AT_ONCE:
                    break
        return found

    def _is_unconfirmed(self) -> bool:
        """Whether somebody heard of on this line, or whom frames wait for, hasn't said that both are in step.

        So it is, too, where nobody was heard of: what was told may have been dropped.
        """
        if not self._heard or self._heard - self._exchange.in_step:
            return True
        with self._hub.replica.read() as reader:
            frames = OutboxReader(reader, self._remote).frames()
            return any(frame.plane == self.on_remote.plane.number for _, frame in frames)

    def _mark(self, numbers: Sequence[int]) -> None:
        def mark(unit: Unit) -> None:
            outbox = Outbox(unit.transaction, self._remote)
            for number in numbers:
                outbox.mark_published(number, unit.now_ms)

        self._hub.commit(mark)

    def _rewind(self) -> int:
        return self.on_remote.rewind()

    def retire(self) -> int:
        """Take frames away that every member covers; how many went."""
        plane, replica = self.on_remote.plane.number, self._hub.replica
        with replica.read() as reader:
            until = covered_since(reader, plane, replica.wall.now_ms(), self.on_remote.me)
            numbers = [
                number
                for number, frame in OutboxReader(reader, self._remote).frames()
                if frame.plane == plane and 0 < frame.published_ms < until
            ]
        if numbers:
            self._hub.commit(lambda unit: Outbox(unit.transaction, self._remote).retire(numbers))
        return len(numbers)


def _channel(message: Message) -> Channel:
    """Where a message goes: what is to everybody is retained, what is to one isn't."""
    match message:
        case FrontierBody():
            return Channel.FRONTIER if message.to == ZEROS else Channel.WANT
        case Want():
            return Channel.WANT
        case Batches() | ForkProof():
            return Channel.BATCHES
