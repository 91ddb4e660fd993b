"""Exchanging planes with one remote that keeps frames in refs: fetch, take in, push what the remote lacks.

Invariant: what was read is noted only after it was taken in, and a queued frame retires only after the remote has taken
the ref that holds it. What was erased before a push begins is not in it. A round that breaks off anywhere loses nothing
and is simply begun again. A ref that can't be read, or that isn't where it was, harms no other; this replica's own is
brought back, or begun anew where somebody else has taken it; what went with others' is pushed by whoever holds it,
unless they bring it back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.exchange.messages import Batches, ForkProof, build_fork
from moot_protocol.limits import MIB
from moot_protocol.time_units import MINUTE_MS
from mootd.engine.commit import Committer
from mootd.engine.exchange.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.machine.remotes import check_is_there
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.exchange.losses import Losses
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress, count_unopened
from mootd.remotes import Alarm, Ref, RefAlarm, RefRemote, Tip
from mootd.store.port import Table

R = TypeVar("R")
Counts: TypeAlias = dict[tuple[int, bytes], int]
"""(plane's number, epoch) → how many of its frames couldn't be opened."""

MESSAGE_BYTES: Final = 1 * MIB
"""Bytes of a message before it is sealed: large ones compress better, and one is decoded at once."""
READ_BYTES: Final = 8 * MIB
"""Bytes of frames read, and taken in, at once."""
FILL_BYTES: Final = 16 * MIB
"""Bytes queued before some are pushed."""
PUSH_BYTES: Final = 16 * MIB
"""Bytes of one push."""
FRONTIER_MS: Final = 10 * MINUTE_MS
"""How often a replica that writes little tells where it stands."""
SMALL_PUSHES: Final = 256
"""Pushes after which a generation may be made anew."""
GENERATIONS: Final = 16
"""Generations tried in a row where somebody else has taken them."""


class InThread(Protocol):
    """Runs something that blocks in a worker thread."""

    async def __call__(self, work: Callable[[], R], /) -> R:
        """Do it and return what it returns."""


class OwnRef(msgspec.Struct, array_like=True, frozen=True):
    """What is known of this replica's ref on a remote."""

    generation: int = 1
    pushes: int = 0
    """Pushes since the generation began."""
    small_bytes: int = 0
    """Bytes of those."""
    base_bytes: int = 0
    """Bytes that the generation began with."""
    told_ms: int = 0
    """When the last frontier was pushed."""
    told: bytes = b""
    """Summary of that frontier."""


class Told(NamedTuple):
    """A frontier on its way."""

    frame: bytes
    summary: bytes
    at_ms: int


_decode_own: Final[Callable[[bytes], OwnRef]] = msgspec.msgpack.Decoder(OwnRef).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class RefExchange:
    """One remote, for as long as the daemon runs. One caller at a time.

    Args:
        remote: the remote.
        number: its number here.
        replica: this replica.
        commit: carries out work in a write transaction; blocks.
        in_thread: runs what blocks.
    """

    def __init__(
        self, remote: RefRemote, number: int, replica: Replica, commit: Committer, in_thread: InThread
    ) -> None:
        self._remote = remote
        self._number = number
        self._replica = replica
        self._commit = commit
        self._in_thread = in_thread
        self._kept: set[Ref] = set()
        """Refs of ours that the remote doesn't let us remove."""
        self._lost: dict[bytes, Losses] = {}
        """A plane's topic → which refs of it somebody took away."""

    async def round(self, planes: Sequence[PlaneOnRemote], progress: Progress, *, is_asked: bool = True) -> None:
        """One round with the remote: everything there is taken in, everything here that it lacks is pushed.

        Args:
            planes: what to exchange.
            progress: told of what happens.
            is_asked: whether somebody waits for it, and so for what others may be about to push.

        Raises:
            RefusedError: the remote's: `unreachable`, `denied`…; or the store's.
        """
        try:
            fetched = await self._remote.fetch([plane.topic for plane in planes])
        except RefusedError:
            for each in planes:
                await self._in_thread(partial(each.fill, FILL_BYTES, at_once=is_asked))  # so that people see what waits
            raise
        alarms = [*fetched.alarms, *await self._read_all(planes, fetched.tips, progress)]
        progress.alarms = alarms
        progress.apart = {plane.plane.number: plane.apart for plane in planes}
        for plane in planes:
            refs = [tip.ref for tip in fetched.tips if tip.ref[:2] == (plane.topic, plane.sender)]
            is_gone = await self._is_gone(plane, refs)
            if not await self._push_all(plane, progress, at_once=is_asked) and is_gone:
                await self._push(plane, [], await self._in_thread(partial(self._tell, plane)))
            await self._make_up(plane, alarms, progress, is_gone=is_gone, at_once=is_asked)
            await self._compact(plane)
            await self._drop_stale(plane, [*refs, *_overwritten(fetched.alarms, plane)])

    # -- Coming in -----------------------------------------------------------------------------------------------
    async def _read_all(self, planes: Sequence[PlaneOnRemote], tips: Sequence[Tip], progress: Progress) -> list[Alarm]:
        """Take in what came to others' refs, also where the key to one came with a later one; what can't be read.

        This replica's own is read at last, where its feed is forked: an old copy of its data was put back, or another
        machine has its key, and what was pushed before, or from there, is on the remote under this name alone.
        """
        by_topic = {plane.topic: plane for plane in planes}
        ours = [(plane, tip) for tip in tips if (plane := by_topic.get(tip.ref.topic)) is not None]
        again = sorted(ours, key=lambda each: _is_own(*each))
        alarms: dict[Tip, Alarm] = {}
        unopened: dict[Tip, Counts] = {}
        while again:
            # What couldn't be opened is read every time, and so counted anew.
            unopened |= {tip: {} for _, tip in again}
            for plane, tip, after in await self._in_thread(partial(self._unread, again)):
                if _is_own(plane, tip) and not plane.is_own_forked():
                    continue
                try:
                    await self._read(plane, tip, after, progress, unopened[tip])
                except MalformedError as error:
                    alarms[tip] = _unreadable(error, tip)
            again = [
                (plane, tip)
                for plane, tip in again
                if bool(unopened[tip]) and await self._in_thread(partial(_has_key, plane, unopened[tip]))
            ]
        progress.renew_unopened({plane.plane.number for plane in planes}, _summed(unopened.values()))
        return list(alarms.values())

    def _unread(self, tips: Sequence[tuple[PlaneOnRemote, Tip]]) -> list[tuple[PlaneOnRemote, Tip, str | None]]:
        """Those of tips to which something has come, with the commits up to which they were read, if any.

        All at once: a remote may show thousands, few of which have moved since the round before.
        """
        with self._replica.read() as reader:
            kept = [reader.get(Table.META, self._read_key(tip)) for _, tip in tips]
        commits = [None if commit is None else commit.decode() for commit in kept]
        return [(plane, tip, after) for (plane, tip), after in zip(tips, commits, strict=True) if after != tip.commit]

    def _read_key(self, tip: Tip) -> bytes:
        return layout.read_key(self._number, tip.ref.topic, tip.ref.sender, tip.ref.generation)

    async def _read(
        self, plane: PlaneOnRemote, tip: Tip, after: str | None, progress: Progress, unopened: Counts
    ) -> None:
        """Take in what came to a sender's ref after a commit, and count what couldn't be opened.

        Raises:
            MalformedError: the ref holds what no sender pushes; what stands before it was taken in.
        """
        is_open = True
        while after != tip.commit:
            frames, after = await self._remote.read(tip, after, READ_BYTES)
            took = await self._in_thread(partial(plane.take, frames))
            progress.note_received(plane.plane.number, took.batches)
            progress.note_problems(took.problems)
            count_unopened(unopened, plane.plane.number, took.unopened)
            is_open = is_open and not took.unopened
            if is_open:  # else, once the key has come, they are read again from there on
                await self._note_read(self._read_key(tip), after)

    async def _note_read(self, key: bytes, commit: str) -> None:
        def note(unit: Unit) -> None:
            check_is_there(unit.transaction, self._number)
            unit.transaction.put(Table.META, key, commit.encode())

        await self._in_thread(lambda: self._commit(note))

    # -- Going out -----------------------------------------------------------------------------------------------
    async def _push_all(self, plane: PlaneOnRemote, progress: Progress, *, at_once: bool) -> bool:
        """Push until the remote lacks nothing, telling where this replica stands when it is time to.

        Returns:
            Whether anything was pushed.
        """
        has_pushed = False
        while True:
            queued = await self._in_thread(lambda: plane.fill(FILL_BYTES, at_once=at_once))
            waiting = await self._in_thread(lambda: self._waiting(plane))
            if not waiting and not queued and not await self._in_thread(plane.rewind):
                break
            if waiting:
                told = await self._in_thread(lambda: self._frontier(plane, is_alone=False))
                waiting = await self._in_thread(partial(self._still_waiting, waiting))
                if not waiting:
                    continue  # all of it holds what was erased meanwhile, or follows it
                await self._push(plane, [frame.frame for _, frame in waiting], told)
                await self._in_thread(partial(self._retire, [number for number, _ in waiting]))
                progress.note_sent(plane.plane.number, len(waiting))
                has_pushed = True
        told = await self._in_thread(lambda: self._frontier(plane, is_alone=True))
        if told:
            await self._push(plane, [], told)
        return has_pushed or told is not None

    def _waiting(self, plane: PlaneOnRemote) -> list[tuple[int, OutFrame]]:
        """The oldest frames of a plane that wait, as many as one push takes; none where they are to be sealed anew."""
        plane.sealing.check_allowed()
        found = self._queued(plane)
        return [] if plane.renew(frame for _, frame in found) else found

    def _still_waiting(self, found: Sequence[tuple[int, OutFrame]]) -> list[tuple[int, OutFrame]]:
        """Those of frames that no erasure has taken out of the queue."""
        with self._replica.read() as reader:
            outbox = OutboxReader(reader, self._number)
            return [each for each in found if outbox.holds(each[0])]

    def _queued(self, plane: PlaneOnRemote) -> list[tuple[int, OutFrame]]:
        found: list[tuple[int, OutFrame]] = []
        size = 0
        with self._replica.read() as reader:
            for number, frame in OutboxReader(reader, self._number).frames():
                if frame.plane != plane.plane.number:
                    continue
                size += len(frame.frame)
                if found and size > PUSH_BYTES:
                    break
                found.append((number, frame))
        return found

    def _retire(self, numbers: Sequence[int]) -> None:
        self._commit(lambda unit: Outbox(unit.transaction, self._number).retire(numbers))

    async def _push(self, plane: PlaneOnRemote, frames: Sequence[bytes], told: Told | None) -> None:
        """Push frames that were read from the log, and a frontier.

        Where the remote's ref has become somebody else's, another generation begins, with everything.
        """
        own = await self._in_thread(lambda: self._own(plane))
        everything = [*frames, told.frame] if told else frames
        try:
            await self._remote.push(Ref(plane.topic, plane.sender, own.generation), everything)
        except RefusedError as error:
            if error.code is not Code.CONFLICT:
                raise
            await self._begin(plane, own, await self._in_thread(plane.everything))
            return
        size = sum(map(len, everything))
        await self._in_thread(partial(self._change_own, plane, lambda known: _pushed(known, size, told)))

    def _frontier(self, plane: PlaneOnRemote, *, is_alone: bool) -> Told | None:
        """A sealed frontier where it is time to tell it: with batches, or alone when it has changed for a while."""
        if plane.sealing.sealer() is None:
            return None
        own, now_ms = self._own(plane), self._replica.wall.now_ms()
        if 0 <= now_ms - own.told_ms < FRONTIER_MS:
            return None
        if is_alone and (plane.summary() == own.told or not plane.may_speak()):
            return None
        return self._tell(plane)

    def _tell(self, plane: PlaneOnRemote) -> Told:
        frame = plane.sealing.seal(plane.sealing.frontier_message())
        return Told(frame, plane.summary(), self._replica.wall.now_ms())

    # -- Its own ref ---------------------------------------------------------------------------------------------
    def _own(self, plane: PlaneOnRemote) -> OwnRef:
        with self._replica.read() as reader:
            kept = reader.get(Table.META, layout.own_ref_key(self._number, plane.plane.number))
        return OwnRef() if kept is None else _decode_own(kept)

    def _change_own(self, plane: PlaneOnRemote, change: Callable[[OwnRef], OwnRef]) -> None:
        key = layout.own_ref_key(self._number, plane.plane.number)

        def work(unit: Unit) -> None:
            check_is_there(unit.transaction, self._number)
            kept = unit.transaction.get(Table.META, key)
            unit.transaction.put(Table.META, key, _encode(change(OwnRef() if kept is None else _decode_own(kept))))

        self._commit(work)

    def _put_own(self, plane: PlaneOnRemote, own: OwnRef) -> None:
        self._change_own(plane, lambda _: own)

    async def _is_gone(self, plane: PlaneOnRemote, refs: Sequence[Ref]) -> bool:
        """Whether somebody removed this replica's ref or moved it back: any push brings it back."""
        own = await self._in_thread(lambda: self._own(plane))
        return bool(own.told) and Ref(plane.topic, plane.sender, own.generation) not in refs

    async def _make_up(
        self, plane: PlaneOnRemote, alarms: Sequence[Alarm], progress: Progress, *, is_gone: bool, at_once: bool
    ) -> None:
        """Push what went with refs that somebody took away, when it is time to: their senders may never come back.

        What the remote carries is counted anew, from all that it shows now.
        """
        lost, now_ms = self._lost.setdefault(plane.topic, Losses()), self._replica.wall.now_ms()
        lost.note(_taken_away(alarms, plane), is_own_gone=is_gone, now_ms=now_ms)
        if not lost.is_due(now_ms):
            return
        shown = await self._remote.fetch([plane.topic])
        await self._in_thread(plane.forget_carried)
        for tip in shown.tips:
            with suppress(MalformedError):  # an alarm by now: it carries what was read before that
                await self._count(plane, tip)
        await self._push_all(plane, progress, at_once=at_once)
        lost.count(now_ms)

    async def _count(self, plane: PlaneOnRemote, tip: Tip) -> None:
        """Note what a ref carries.

        Raises:
            MalformedError: it holds what no sender pushes; what stands before it is noted.
        """
        after: str | None = None
        while after != tip.commit:
            frames, after = await self._remote.read(tip, after, READ_BYTES)
            await self._in_thread(partial(plane.count, frames))

    async def _compact(self, plane: PlaneOnRemote) -> None:
        """Begin a new generation with everything in large segments, once small pushes have piled up."""
        own = await self._in_thread(lambda: self._own(plane))
        if own.pushes < SMALL_PUSHES or own.small_bytes < own.base_bytes // 2:
            return
        try:
            frames = await self._repacked(plane, Ref(plane.topic, plane.sender, own.generation))
        except MalformedError:  # somebody has put something into it
            frames = await self._in_thread(plane.everything)
        await self._begin(plane, own, frames)

    async def _repacked(self, plane: PlaneOnRemote, ref: Ref) -> list[bytes]:
        """All that a ref of ours holds, but for what is erased, in as few frames as may be.

        Raises:
            MalformedError: it isn't where it was, or holds what isn't ours.
        """
        tip = next((tip for tip in (await self._remote.fetch([plane.topic])).tips if tip.ref == ref), None)
        if tip is None:
            raise MalformedError("the remote doesn't show this replica's ref")
        after: str | None = None
        batches: dict[bytes, None] = {}
        proofs: list[bytes] = []
        while after != tip.commit:
            frames, after = await self._remote.read(tip, after, READ_BYTES)
            for frame in frames:
                message = plane.sealing.open(frame)
                if isinstance(message, Batches):
                    batches.update(dict.fromkeys(message.batches))
                elif isinstance(message, ForkProof):
                    proofs.append(build_fork(message))
        return await self._in_thread(partial(plane.repacked, batches, proofs))

    async def _begin(self, plane: PlaneOnRemote, own: OwnRef, everything: Sequence[bytes]) -> None:
        """Begin the next generation that nobody else has taken with these frames."""
        told = await self._in_thread(lambda: self._tell(plane))
        frames = [*everything, told.frame]
        for generation in range(own.generation + 1, own.generation + 1 + GENERATIONS):
            try:
                for portion in _portions(frames):
                    await self._remote.push(Ref(plane.topic, plane.sender, generation), portion)
            except RefusedError as error:
                if error.code is Code.CONFLICT:
                    continue  # somebody else has taken this one
                raise
            begun = OwnRef(generation, 0, 0, sum(map(len, frames)), told.at_ms, told.summary)
            await self._in_thread(partial(self._put_own, plane, begun))
            return
        raise RefusedError(
            "somebody else has taken this machine's refs on the remote",
            code=Code.CONFLICT,
            hint="find out who pushes to refs/moot there",
        )

    async def _drop_stale(self, plane: PlaneOnRemote, refs: Sequence[Ref]) -> None:
        """Remove refs of ours that a later generation has replaced, what others have put into their places as well."""
        own = await self._in_thread(lambda: self._own(plane))
        for ref in refs:
            if ref.generation >= own.generation or ref in self._kept:
                continue
            try:
                await self._remote.drop(ref)
            except RefusedError as error:
                if error.code is not Code.DENIED:
                    raise
                self._kept.add(ref)  # it stays, and harms nobody


def _pushed(own: OwnRef, size: int, told: Told | None) -> OwnRef:
    after = replace(own, pushes=own.pushes + 1, small_bytes=own.small_bytes + size)
    return after if told is None else replace(after, told_ms=told.at_ms, told=told.summary)


def _portions(frames: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Frames in pushes of about PUSH_BYTES."""
    portion: list[bytes] = []
    size = 0
    for frame in frames:
        if portion and size + len(frame) > PUSH_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(frame)
        size += len(frame)
    yield portion


def _taken_away(alarms: Sequence[Alarm], plane: PlaneOnRemote) -> list[str]:
    """The names of other senders' refs of a plane that aren't where they were."""
    return [
        alarm.name
        for alarm in alarms
        if alarm.kind in (RefAlarm.MISSING, RefAlarm.WENT_BACK)
        and f"/{plane.topic.hex()}/" in alarm.name
        and f"/{plane.sender.hex()}/" not in alarm.name
    ]


def _overwritten(alarms: Sequence[Alarm], plane: PlaneOnRemote) -> list[Ref]:
    """This replica's own refs of a plane that lead to what it never pushed."""
    prefix = f"/{plane.topic.hex()}/{plane.sender.hex()}/"
    ends = (alarm.name.partition(prefix)[2] for alarm in alarms if alarm.kind is RefAlarm.WENT_BACK)
    return [Ref(plane.topic, plane.sender, int(end)) for end in ends if end]


def _is_own(plane: PlaneOnRemote, tip: Tip) -> bool:
    return tip.ref.sender == plane.sender


def _has_key(plane: PlaneOnRemote, unopened: Counts) -> bool:
    """Whether the key to some of what couldn't be opened has come since."""
    return any(plane.keys.key_of(epoch) is not None for _, epoch in unopened)


def _summed(counts: Iterable[Counts]) -> Counts:
    """Counts of all refs; each has its own bound, so that nobody's ref leaves no room for what is in another."""
    total = Counter[tuple[int, bytes]]()
    for each in counts:
        total.update(each)
    return total


def _unreadable(error: MalformedError, tip: Tip) -> Alarm:
    """The alarm for a ref whose commits no sender of ours would push."""
    name = f"{tip.ref.topic.hex()}/{tip.ref.sender.hex()}/{tip.ref.generation}"
    return Alarm(name, RefAlarm.UNREADABLE, error.message)
