"""One plane on an open line: sessions with whoever speaks, and what the remote lacks handed over as it is written.

Invariant: what is published comes from a session, from the queue, or from the committed log, sealed; what comes in is
opened before anything is believed of it. What goes out while the line is open is queued after it was published, with
the note that it was, for somebody waits for it at the other end: a crash in between sends it twice. A queued frame
retires when every member heard of lately has said that it stands where this replica stands: a broker's acknowledgement
is not delivery; of strangers (`strangers.py`) nothing is noted, and no frame waits for them. What was read from the log
before it was erased is not published after it. What this replica says of itself goes out in the order in which it was
signed, for whoever hears the later first leaves the earlier out as stale.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import takewhile
from threading import Lock
from typing import Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.errors import Code, MalformedError, MootError
from moot_protocol.exchange.frontier import Form, FrontierBody
from moot_protocol.exchange.messages import Batches, ForkProof, Message, Want, decode_message
from moot_protocol.limits import KIB, LIVE_FRAME_BYTES
from moot_protocol.log.batch import ZEROS
from moot_protocol.sealing.frame import frame_epoch
from mootd.engine.exchange.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.exchange.plane_exchange import Exchange, Outgoing
from mootd.engine.machine.members import covered_since, is_stale, note_in_step, note_seen
from mootd.engine.membership.joining import advance
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.versions import tell_version
from mootd.exchange.goals import Goals
from mootd.exchange.hub import Hub
from mootd.exchange.pace import Pace
from mootd.exchange.plane_on_remote import PlaneOnRemote, Ready
from mootd.exchange.progress import Progress
from mootd.exchange.strangers import Strangers
from mootd.remotes import Channel, Incoming, Line, Will
from mootd.store.port import Reader

MESSAGE_BYTES: Final = 100 * KIB
"""Bytes of a message before it is sealed: the frame stays within what brokers carry."""
FILL_BYTES: Final = 8 * 1024 * KIB
"""Bytes queued while no line is open."""
AT_ONCE: Final = 64
"""Frames handed over before it is noted that they were."""
TELL_MS: Final = 60_000
"""How often a replica tells where it stands while nobody has confirmed what it published: brokers drop frames."""
TOLD_AT_ONCE: Final = 8
TOLD_EVERY_S: Final = 0.5
"""How often a replica that goes on writing tells where it stands: everybody answers, and each answer is answered."""


class Reply(NamedTuple):
    """A message on its way out."""

    channel: Channel
    frame: bytes
    message: bytes = b""
    """Of batches that answer somebody, what was sealed."""
    cuts: int = 0
    """Of these, how often the replica had cut or erased anything before they were read (`State.cuts`)."""


class _Due(NamedTuple):
    """What is to be handed over now: what waits in the queue, or else what isn't in it yet."""

    queued: Sequence[tuple[int, OutFrame]]
    fresh: Sequence[Ready]
    cuts: int
    """How often the replica had cut or erased anything before all of it was read (`State.cuts`)."""

    def frames(self) -> list[bytes]:
        """The frames in their order."""
        return [*(frame.frame for _, frame in self.queued), *(ready.frame for ready in self.fresh)]


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
            hub.replica, plane, remote, hub.commit, message_bytes=MESSAGE_BYTES, frame_bytes=LIVE_FRAME_BYTES
        )
        self._sealing = self.on_remote.sealing
        self._hub = hub
        self._remote = remote
        self._progress = progress
        self._exchange = Exchange(hub.replica, self.on_remote.plane, hub.commit, message_bytes=MESSAGE_BYTES)
        self._exchange.also = self.on_remote.note_carried
        progress.apart[plane.number] = self._exchange.alarms
        self._authors: dict[bytes, bytes] = {}
        """sender's name on this topic → its key, once it has signed something."""
        self._goals = Goals(self.on_remote.me)
        self._heard: set[bytes] = set()
        """Members that have said where they stand."""
        self._strangers = Strangers(hub.replica, plane.number, hub.commit, self._forget, self._dismiss)
        self._speaking = asyncio.Lock()
        """Held from the signing of what this replica says until it is published."""
        self._turn = Lock()
        """Held while the queue is filled or a frame is taken in: what has just come isn't sent back."""
        self._presence_counters: dict[bytes, int] = {}
        """Member → the number of what it last said of its presence on this line."""
        self._published = 0
        """The frame in the queue up to which no frame of this plane's waits to be published."""
        self._told_n = -1
        """This replica's last event when it last told where it stands."""
        self._told_ms = 0
        """When it did."""
        self._pace = Pace(TOLD_AT_ONCE, TOLD_EVERY_S)
        self._is_urged = False
        """Whether somebody waits to hear where this replica stands, or to have it told."""
        self._later: asyncio.TimerHandle | None = None
        """Wakes the hub when it may be told again."""
        self._charter_ms = 0
        """When the charter was last sent to somebody who had missed a key."""

    # -- Coming in: in a worker thread, but for `hear` -------------------------------------------------------------
    async def hear(self, line: Line, incoming: Incoming) -> None:
        """Take in a frame, and publish what is to be answered."""
        if incoming.channel is Channel.PRESENCE:
            await self._hub.in_thread(partial(self.hear_presence, incoming))
            return
        async with self._speaking:
            for reply in await self._hub.in_thread(partial(self.take, incoming)):
                if reply.cuts != self._hub.replica.cuts and await self._hub.in_thread(partial(self._is_outdone, reply)):
                    continue  # the erasure that came between begins a round, in which it is asked for again
                await line.publish(self.on_remote.topic, reply.channel, reply.frame)

    def take(self, incoming: Incoming) -> list[Reply]:
        """Take in a frame; what is to be answered."""
        try:
            message = self._sealing.open(incoming.frame)
        except MalformedError as error:
            self._leave_out(incoming.frame, error)
            return []
        with self._turn:
            replies = [*self._take(incoming, message), *self._catching_up(incoming.frame)]
            for said in self._strangers.admitted():
                self._heard.add(said.sender)
                self._note_heard(said.sender, said, was_in_step=False)
            return replies

    def _leave_out(self, frame: bytes, error: MalformedError) -> None:
        if error.code is Code.UNKNOWN_EPOCH:
            self._progress.note_unopened(self.on_remote.plane.number, [frame_epoch(frame)])
        else:
            self._progress.note_problems([error])

    def _catching_up(self, frame: bytes) -> list[Reply]:
        """The charter, where somebody still seals under an earlier key; not every time."""
        now_ms = self._hub.replica.wall.now_ms()
        if not self._sealing.is_outdated(frame) or 0 <= now_ms - self._charter_ms < TELL_MS:
            return []
        self._charter_ms = now_ms
        return [Reply(Channel.BATCHES, each) for each in self.on_remote.charter_frames()]

    def _take(self, incoming: Incoming, message: Message) -> list[Reply]:
        peer = self._peer(incoming, message)
        if peer is None or peer == self.on_remote.me:
            took = self.on_remote.act(message)
            self._progress.note_received(self.on_remote.plane.number, took.batches)
            self._progress.note_problems(took.problems)
            return []
        self._strangers.meet(peer)
        before = peer in self._exchange.in_step
        if isinstance(message, FrontierBody) and not self._begin(peer, message):
            return []
        cuts = self._hub.replica.cuts
        outgoing = self._through_session(peer, message)
        if peer in self._strangers:
            self._exchange.alarms.pop(peer, None)
            if isinstance(message, FrontierBody):
                self._strangers.keep(message)
            return self._replies(outgoing, cuts)
        self._note_heard(peer, message, was_in_step=before)
        if isinstance(message, FrontierBody):
            now_ms = self._hub.replica.wall.now_ms()
            self._goals.hear(peer, message, now_ms, is_in_step=peer in self._exchange.in_step)
        if self._goals.is_open:
            self._goals.look(self._exchange.log.position().frontier)
        return self._replies(outgoing, cuts)

    def _replies(self, outgoing: Sequence[Outgoing], cuts: int) -> list[Reply]:
        return [reply for each in outgoing if (reply := self._reply(each, cuts)) is not None]

    def _forget(self, peer: bytes) -> None:
        self._exchange.forget(peer)
        self._authors.pop(self.on_remote.keys.sender(peer), None)

    def _dismiss(self, peer: bytes) -> None:
        self._presence_counters.pop(peer, None)
        self._progress.present.discard((self.on_remote.plane.number, peer))

    def _note_heard(self, peer: bytes, message: Message, *, was_in_step: bool) -> None:
        """Note where a member stands, and take away what everybody has by now."""
        is_frontier = isinstance(message, FrontierBody)
        is_news = peer in self._exchange.in_step and (is_frontier or not was_in_step)
        if is_news and isinstance(message, Batches):
            self._told_n = -1  # what it brought is here now, which its sender waits to hear
        number = self.on_remote.plane.number

        def note(unit: Unit) -> None:
            if isinstance(message, FrontierBody):
                note_seen(unit, number, message)
            if is_news:
                note_in_step(unit, number, peer)
                Outbox(unit.transaction, self._remote).retire(self._covered(unit.transaction))

        if is_frontier or is_news:
            self._hub.commit(note)

    def _peer(self, incoming: Incoming, message: Message) -> bytes | None:
        """Who sent a frame, as far as a signature has shown it."""
        if isinstance(message, FrontierBody | Want):
            if self.on_remote.keys.sender(message.sender) == incoming.sender:
                self._authors[incoming.sender] = message.sender
            return message.sender
        return self._authors.get(incoming.sender)

    def _through_session(self, peer: bytes, message: Message) -> list[Outgoing]:
        if isinstance(message, Batches):
            message = self._without_held(message)
        taken = self._exchange.take_decoded(peer, message)
        self._progress.note_received(self.on_remote.plane.number, len(taken.outcomes))
        self._progress.note_problems(taken.malformed)
        if isinstance(message, Batches):
            advance(self._hub.replica, self.on_remote.plane.number, self.on_remote.keys, self._hub.commit)
            tell_version(self._hub.replica, self.on_remote.plane.number, self._hub.commit)
        return taken.outgoing

    def _without_held(self, message: Batches) -> Batches:
        """A message without what is held here: while many write, several answer what was on its way to all."""
        problems: list[MalformedError] = []
        unknown = self.on_remote.unknown(message.batches, problems)
        self._progress.note_problems(problems)
        # The session takes a message with batches for the answer to what it asked for: what was left out goes on.
        return replace(message, batches=tuple(unknown) if unknown or not message.left else message.batches[-1:])

    def _begin(self, peer: bytes, message: FrontierBody) -> bool:
        """Get ready for a frontier; False for one that is stale, or for another.

        One to everybody begins a round: what was asked for in earlier ones is asked for anew, for it may be lost.
        """
        if message.to not in (ZEROS, self.on_remote.me):
            return False
        with self._hub.replica.read() as reader:
            if is_stale(reader, self.on_remote.plane.number, message):
                return False
        if message.to == ZEROS:
            self._exchange.start(peer)
        self._exchange.in_step.discard(peer)
        if peer not in self._strangers:
            self._heard.add(peer)
        return True

    def _reply(self, outgoing: Outgoing, cuts: int) -> Reply | None:
        """What goes out, read after so many cuts.

        What a newcomer asks before the charter confirms its key is sealed as its ticket said.
        """
        sealed = self._sealing.sealer() or self._sealing.ticket_sealer()
        if sealed is None:
            return None
        channel = _channel(decode_message(outgoing.message))
        return Reply(channel, sealed(outgoing.message), outgoing.message, cuts)

    def _is_outdone(self, reply: Reply) -> bool:
        """Whether a reply holds what was erased since it was read."""
        return bool(reply.message) and self.on_remote.tells_erased(reply.message)

    # -- Who listens ---------------------------------------------------------------------------------------------
    def words(self) -> tuple[bytes, Will] | None:
        """What this replica says when it comes, and its last will; None where it can't seal anything yet."""
        coming, leaving = (self._sealing.presence(is_there=is_there) for is_there in (True, False))
        return None if coming is None or leaving is None else (coming, Will(self.on_remote.topic, leaving))

    def hear_presence(self, incoming: Incoming) -> None:
        """Note whether a member listens; what is older than what it said last is left out."""
        try:
            presence = self._sealing.open_presence(incoming.frame)
        except MalformedError as error:
            self._leave_out(incoming.frame, error)
            return
        if self.on_remote.keys.sender(presence.sender) != incoming.sender:
            return
        if presence.counter <= self._presence_counters.get(presence.sender, 0):
            return
        self._strangers.listen(presence.sender)
        self._presence_counters[presence.sender] = presence.counter
        member = (self.on_remote.plane.number, presence.sender)
        if presence.is_there:
            self._progress.present.add(member)
        else:
            self._progress.present.discard(member)

    def forget_present(self) -> None:
        """The line is gone: nobody tells any more who listens."""
        self._presence_counters.clear()
        plane = self.on_remote.plane.number
        self._progress.present -= {member for member in self._progress.present if member[0] == plane}

    @property
    def is_settled(self) -> bool:
        """Whether all who say that they listen have said that they stand where this replica stands.

        Strangers, too: whoever was away for long knows newcomers only by what they bring.
        """
        return self._present() <= self._exchange.in_step

    @property
    def has_reached(self) -> bool:
        """Whether members listen, and all is exchanged with them that was known when somebody last asked for it."""
        present = {peer for peer in self._present() if self._is_awaited(peer)}
        return bool(present) and present <= self._goals.reached

    def _is_awaited(self, peer: bytes) -> bool:
        """Whether a peer is a member that wasn't ended: nobody else is sealed for, and so comes to be in step."""
        replica = self._hub.replica
        number = replica.feed_numbers.get((self.on_remote.plane.number, peer))
        return number is not None and peer not in self._strangers and not replica.feeds[number].ended

    def _present(self) -> set[bytes]:
        """The others who say that they listen."""
        plane, me = self.on_remote.plane.number, self.on_remote.me
        return {member for number, member in self._progress.present.copy() if number == plane and member != me}

    # -- Going out ---------------------------------------------------------------------------------------------------
    async def hand_over(self, line: Line) -> None:
        """Publish what waits, and then where this replica stands, if it has something new of its own."""
        in_thread = self._hub.in_thread
        while (due := await in_thread(self._due)) is not None:
            await self._publish(line, due)
        async with self._speaking:
            await self._tell(line)
        await in_thread(self.retire)

    def fill(self) -> None:
        """Queue what the remote lacks, to be handed over when there is a line again."""
        with self._turn:
            self.on_remote.fill(FILL_BYTES)

    def _due(self) -> _Due | None:
        with self._turn:
            self._sealing.check_allowed()
            while True:
                cuts = self._hub.replica.cuts
                queued = self._waiting()
                fresh = [] if queued else self.on_remote.prepare(AT_ONCE)
                if queued or fresh:
                    return _Due(queued, fresh, cuts)
                if not self.on_remote.rewind():
                    return None

    async def _publish(self, line: Line, due: _Due) -> None:
        published = 0
        try:
            for at, frame in enumerate(due.frames()):
                if self._hub.replica.cuts != due.cuts and not await self._hub.in_thread(partial(self._may_go, due, at)):
                    break  # it holds what was erased: it is read anew
                await line.publish(self.on_remote.topic, Channel.BATCHES, frame)
                published += 1
                self._progress.note_sent(self.on_remote.plane.number, 1)
        except BaseException:
            with suppress(MootError):  # what isn't noted goes out again; the end of the line or of the task counts
                await self._hub.in_thread(partial(self._note, due, published))
            raise
        await self._hub.in_thread(partial(self._note, due, published))

    def _may_go(self, due: _Due, at: int) -> bool:
        """Whether nothing of a frame was erased since it was read."""
        if at >= len(due.queued):
            return not self.on_remote.is_stale(due.fresh[at - len(due.queued)])
        with self._hub.replica.read() as reader:
            return OutboxReader(reader, self._remote).holds(due.queued[at][0])

    async def _tell(self, line: Line) -> None:
        n, now_ms = self._own_n(), self._hub.replica.wall.now_ms()
        is_due = not 0 <= now_ms - self._told_ms < TELL_MS
        if n == self._told_n and not (is_due and await self._hub.in_thread(self._is_unconfirmed)):
            return
        if self._must_wait():
            return
        reply = await self._hub.in_thread(self._frontier)
        if reply is not None:
            await line.publish(self.on_remote.topic, reply.channel, reply.frame)
            self._told_n, self._told_ms, self._is_urged = n, now_ms, False

    def _must_wait(self) -> bool:
        """Whether to tell it later, since it was told often lately; then the hub is woken for it."""
        if self._is_urged:
            return False
        loop = asyncio.get_running_loop()
        wait_s = self._pace.wait_s(loop.time())
        if wait_s and (self._later is None or self._later.when() <= loop.time()):
            self._later = loop.call_later(wait_s, self._hub.wake, self._remote)
        return wait_s > 0

    def be_asked(self) -> None:
        """Somebody waits for an exchange of what is known now."""
        self.forget_told()  # so that something is said: an old line may be dead and not know
        self._goals.begin(self._own_n(), self._hub.replica.wall.now_ms())

    def forget_told(self) -> None:
        """The line is new, or somebody waits: whoever is there hasn't heard where this replica stands."""
        self._told_n, self._is_urged = -1, True
        self._exchange.ask_anew()

    def _own_n(self) -> int:
        replica = self._hub.replica
        number = replica.feed_numbers.get((self.on_remote.plane.number, self.on_remote.me))
        return replica.feeds[number].n if number else 0

    def _frontier(self) -> Reply | None:
        sealed = self._sealing.sealer() or self._sealing.ticket_sealer()
        if sealed is None:
            return None
        return Reply(Channel.FRONTIER, sealed(self._sealing.frontier_message(Form.SUMMARY)))

    def _waiting(self) -> Sequence[tuple[int, OutFrame]]:
        """What waits in the queue, as much as goes at once; nothing where it has to be sealed anew."""
        found = self._unpublished()
        return () if self.on_remote.renew(frame for _, frame in found) else found

    def _unpublished(self) -> Sequence[tuple[int, OutFrame]]:
        found: list[tuple[int, OutFrame]] = []
        with self._hub.replica.read() as reader:
            for number, frame in OutboxReader(reader, self._remote).frames(self._published):
                if frame.plane == self.on_remote.plane.number and not frame.published_ms:
                    found.append((number, frame))
                elif not found:
                    self._published = number
                if len(found) == AT_ONCE:
                    break
        return found

    def _is_unconfirmed(self) -> bool:
        """Whether somebody heard of on this line, or whom frames wait for, hasn't said that both are in step.

        So it is, too, where nobody was heard of: what was told may have been dropped.
        """
        heard = {peer for peer in self._heard if self._is_awaited(peer)}
        if not heard or heard - self._exchange.in_step:
            return True
        with self._hub.replica.read() as reader:
            frames = OutboxReader(reader, self._remote).frames()
            return any(frame.plane == self.on_remote.plane.number for _, frame in frames)

    def _note(self, due: _Due, published: int) -> None:
        """Note what was published; the rest waits, unless its key's time is over meanwhile."""
        sent = due.fresh[:published]
        kept = [*sent, *(ready for ready in due.fresh[published:] if not self._sealing.is_outdated(ready.frame))]

        def note(unit: Unit) -> None:
            outbox = Outbox(unit.transaction, self._remote)
            for number, _ in due.queued[:published]:
                outbox.mark_published(number, unit.now_ms)
            self.on_remote.queue(unit, kept, len(sent))

        if published or kept:
            self._hub.commit(note)

    def retire(self) -> int:
        """Take frames away that every member covers; how many went."""
        self._strangers.tidy()
        with self._hub.replica.read() as reader:
            numbers = self._covered(reader)
        if numbers:
            self._hub.commit(lambda unit: Outbox(unit.transaction, self._remote).retire(numbers))
        return len(numbers)

    def _covered(self, reader: Reader) -> list[int]:
        """The frames that every member covers; frames stand in the order in which they were published."""
        plane = self.on_remote.plane.number
        until = covered_since(reader, plane, self._hub.replica.wall.now_ms(), self.on_remote.me)
        of_plane = (each for each in OutboxReader(reader, self._remote).frames() if each[1].plane == plane)
        return [number for number, _ in takewhile(lambda each: 0 < each[1].published_ms < until, of_plane)]


def _channel(message: Message) -> Channel:
    """Where a message goes: what is to everybody is retained, what is to one isn't."""
    match message:
        case FrontierBody():
            return Channel.FRONTIER if message.to == ZEROS else Channel.WANT
        case Want():
            return Channel.WANT
        case Batches() | ForkProof():
            return Channel.BATCHES
