"""Exchanging planes with one remote that keeps frames in refs: fetch, take in, push what the remote lacks.

Invariant: what was read is noted only after it was taken in, and a queued frame retires only after the remote has taken
the ref that holds it. A round that breaks off anywhere loses nothing and is simply begun again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from moot_protocol.errors import MalformedError
from moot_protocol.limits import MIB
from moot_protocol.messages import Batches, ForkProof, build_batches, build_fork
from mootd.engine import layout
from mootd.engine.exchange import Commit
from mootd.engine.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.remotes import Alarm, Ref, RefAlarm, RefRemote, Tip
from mootd.store.port import Table

R = TypeVar("R")

MESSAGE_BYTES: Final = 1 * MIB
"""Bytes of a message before it is sealed: large ones compress better, and one is decoded at once."""
READ_BYTES: Final = 8 * MIB
"""Bytes of frames read, and taken in, at once."""
FILL_BYTES: Final = 16 * MIB
"""Bytes queued before some are pushed."""
PUSH_BYTES: Final = 16 * MIB
"""Bytes of one push."""
FRONTIER_MS: Final = 10 * 60 * 1000
"""How often a replica that writes little tells where it stands."""
SMALL_PUSHES: Final = 256
"""Pushes after which a generation may be made anew."""


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

    def __init__(self, remote: RefRemote, number: int, replica: Replica, commit: Commit, in_thread: InThread) -> None:
        self._remote = remote
        self._number = number
        self._replica = replica
        self._commit = commit
        self._in_thread = in_thread

    async def round(self, planes: Sequence[PlaneOnRemote], progress: Progress, *, push: bool = True) -> None:
        """One round with the remote: everything there is taken in, everything here that it lacks is pushed.

        Args:
            planes: what to exchange.
            progress: told of what happens.
            push: False only to read.

        Raises:
            RefusedError: the remote's: `unreachable`, `denied`…; or the store's.
        """
        by_topic = {plane.topic: plane for plane in planes}
        fetched = await self._remote.fetch(list(by_topic))
        for tip in fetched.tips:
            plane = by_topic.get(tip.ref.topic)
            if plane is not None and tip.ref.sender != plane.sender:
                await self._read(plane, tip, progress)
        progress.alarms = [alarm for alarm in fetched.alarms if not _is_replaced(alarm, fetched.tips)]
        if push:
            for plane in planes:
                await self._push_all(plane, progress)
                await self._compact(plane)

    # -- Coming in -----------------------------------------------------------------------------------------------
    async def _read(self, plane: PlaneOnRemote, tip: Tip, progress: Progress) -> None:
        """Take in what came to a sender's ref since it was last read."""
        key = layout.read_key(self._number, tip.ref.topic, tip.ref.sender, tip.ref.generation)
        with self._replica.read() as reader:
            kept = reader.get(Table.META, key)
        after = kept.decode() if kept else None
        while after != tip.commit:
            frames, last = await self._remote.read(tip, after, READ_BYTES)
            took = await self._in_thread(partial(plane.take, frames))
            progress.received += took.batches
            progress.note_problems(took.problems)
            if took.unopened:
                return  # once the key has come, they are read again from here on
            await self._note_read(key, last)
            after = last

    async def _note_read(self, key: bytes, commit: str) -> None:
        def note(unit: Unit) -> None:
            unit.transaction.put(Table.META, key, commit.encode())

        await self._in_thread(lambda: self._commit(note))

    # -- Going out -----------------------------------------------------------------------------------------------
    async def _push_all(self, plane: PlaneOnRemote, progress: Progress) -> None:
        """Push until the remote lacks nothing, telling where this replica stands when it is time to."""
        while True:
            await self._in_thread(lambda: plane.fill(FILL_BYTES))
            waiting = await self._in_thread(lambda: self._waiting(plane))
            if not waiting and not await self._in_thread(plane.rewind):
                break
            if waiting:
                frames = [frame.frame for _, frame in waiting]
                frontier = await self._in_thread(lambda: self._frontier(plane, is_alone=False))
                await self._push(plane, [*frames, *frontier])
                numbers = [number for number, _ in waiting]
                await self._in_thread(partial(self._retire, numbers))
                progress.sent += len(frames)
        frontier = await self._in_thread(lambda: self._frontier(plane, is_alone=True))
        if frontier:
            await self._push(plane, frontier)

    def _waiting(self, plane: PlaneOnRemote) -> list[tuple[int, OutFrame]]:
        """The oldest frames of a plane that wait, as many as one push takes."""
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

    async def _push(self, plane: PlaneOnRemote, frames: Sequence[bytes]) -> None:
        own = await self._in_thread(lambda: self._own(plane))
        await self._remote.push(Ref(plane.topic, plane.sender, own.generation), frames)
        size = sum(map(len, frames))
        await self._in_thread(partial(self._change_own, plane, lambda known: _pushed(known, size)))

    def _frontier(self, plane: PlaneOnRemote, *, is_alone: bool) -> list[bytes]:
        """A sealed frontier where it is time to tell it: with batches, or alone when it has changed for a while."""
        if plane.sealer() is None:
            return []
        own, now_ms = self._own(plane), self._replica.wall.now_ms()
        if now_ms - own.told_ms < FRONTIER_MS:
            return []
        told = plane.summary()
        if is_alone and (told == own.told or not plane.may_speak()):
            return []
        frame = plane.sealed(plane.frontier_message())
        self._change_own(plane, lambda known: replace(known, told_ms=now_ms, told=told))
        return [frame]

    # -- Its own ref ---------------------------------------------------------------------------------------------
    def _own(self, plane: PlaneOnRemote) -> OwnRef:
        with self._replica.read() as reader:
            kept = reader.get(Table.META, layout.own_ref_key(self._number, plane.plane.number))
        return OwnRef() if kept is None else _decode_own(kept)

    def _change_own(self, plane: PlaneOnRemote, change: Callable[[OwnRef], OwnRef]) -> None:
        key = layout.own_ref_key(self._number, plane.plane.number)

        def work(unit: Unit) -> None:
            kept = unit.transaction.get(Table.META, key)
            unit.transaction.put(Table.META, key, _encode(change(OwnRef() if kept is None else _decode_own(kept))))

        self._commit(work)

    async def _compact(self, plane: PlaneOnRemote) -> None:
        """Begin a new generation with everything in large segments, once small pushes have piled up."""
        own = await self._in_thread(lambda: self._own(plane))
        if own.pushes < SMALL_PUSHES or own.small_bytes < own.base_bytes // 2:
            return
        old = Ref(plane.topic, plane.sender, own.generation)
        frames = await self._repacked(plane, old)
        await self._remote.push(old._replace(generation=own.generation + 1), frames)
        size = sum(map(len, frames))
        begun = OwnRef(own.generation + 1, base_bytes=size, told_ms=own.told_ms, told=own.told)
        await self._in_thread(partial(self._change_own, plane, lambda _: begun))
        await self._remote.drop(old)

    async def _repacked(self, plane: PlaneOnRemote, ref: Ref) -> list[bytes]:
        """All that a ref of ours holds, in as few frames as may be."""
        tips = (await self._remote.fetch([plane.topic])).tips
        tip = next(tip for tip in tips if tip.ref == ref)
        after: str | None = None
        batches: dict[bytes, None] = {}
        proofs: list[bytes] = []
        while after != tip.commit:
            frames, after = await self._remote.read(tip, after, READ_BYTES)
            for frame in frames:
                message = plane.open(frame)
                if isinstance(message, Batches):
                    batches.update(dict.fromkeys(message.batches))
                elif isinstance(message, ForkProof):
                    proofs.append(build_fork(message))
        return [plane.sealed(message) for message in (*proofs, *_messages(plane.plane.id, list(batches)))]


def _pushed(own: OwnRef, size: int) -> OwnRef:
    return replace(own, pushes=own.pushes + 1, small_bytes=own.small_bytes + size)


def _messages(plane: bytes, batches: Sequence[bytes]) -> list[bytes]:
    """Batches in messages of about MESSAGE_BYTES."""
    found: list[bytes] = []
    portion: list[bytes] = []
    size = 0
    for batch in batches:
        if portion and size + len(batch) > MESSAGE_BYTES:
            found.append(build_batches(plane, tuple(portion), (), ()))
            portion, size = [], 0
        portion.append(batch)
        size += len(batch)
    return [*found, build_batches(plane, tuple(portion), (), ())] if portion else found


def _is_replaced(alarm: Alarm, tips: Sequence[Tip]) -> bool:
    """Whether a ref is gone because its sender began a new generation."""
    if alarm.kind is not RefAlarm.MISSING:
        return False
    name, _, generation = alarm.name.rpartition("/")
    return any(
        name.endswith(f"{tip.ref.topic.hex()}/{tip.ref.sender.hex()}")
        and generation.isdecimal()
        and tip.ref.generation > int(generation)
        for tip in tips
    )


def unreadable(error: MalformedError, tip: Tip) -> Alarm:
    """The alarm for a ref whose commits no sender of ours would push."""
    name = f"{tip.ref.topic.hex()}/{tip.ref.sender.hex()}/{tip.ref.generation}"
    return Alarm(name, RefAlarm.UNREADABLE, error.message)
