"""What the frames hold that a machine has queued or a remote shows, opened with the plane's keys."""

from collections.abc import Iterable

from moot_protocol.exchange.messages import Batches
from moot_protocol.log.batch import batch_link, decode_batch
from moot_testkit.laws.erasing import SECRET
from moot_testkit.towns.exchanging import Peer
from mootd.edges.memory_remote import MemoryRefRemote, MemoryRefs
from mootd.engine.exchange.outbox import OutboxReader
from mootd.exchange.plane_on_remote import PlaneOnRemote


def batches_in(plane: PlaneOnRemote, frames: Iterable[bytes]) -> list[bytes]:
    """The batches that frames hold, in their order."""
    messages = (plane.sealing.open(frame) for frame in frames)
    return [batch for message in messages if isinstance(message, Batches) for batch in message.batches]


def said(plane: PlaneOnRemote, frames: Iterable[bytes]) -> set[bytes]:
    """All values that frames hold."""
    return {event.values_bytes or b"" for batch in batches_in(plane, frames) for event in decode_batch(batch).events}


def tells(plane: PlaneOnRemote, frames: Iterable[bytes]) -> bool:
    """Whether frames hold the secret."""
    return any(SECRET.encode() in values for values in said(plane, frames))


def queued(peer: Peer) -> list[bytes]:
    """The frames that wait."""
    with peer.replica.read() as reader:
        return [frame.frame for _, frame in OutboxReader(reader, peer.number("origin")).frames()]


def heads(plane: PlaneOnRemote, frames: Iterable[bytes]) -> set[tuple[bytes, int]]:
    """(author, last event) of the batches that frames hold."""
    return {(link.author, link.last) for link in map(batch_link, batches_in(plane, frames))}


def fill_up(plane: PlaneOnRemote) -> int:
    """Fill a queue until there is nothing more to put there; how often it took."""
    return sum(1 for _ in iter(lambda: plane.fill(1 << 20), 0))


async def shown(refs: MemoryRefs, plane: PlaneOnRemote) -> list[bytes]:
    """All frames that stand in refs."""
    remote = MemoryRefRemote(refs)
    tips = (await remote.fetch([plane.topic])).tips
    return [frame for tip in tips for frame in (await remote.read(tip, None, 1 << 30))[0]]


def is_gapless(plane: PlaneOnRemote, frames: Iterable[bytes], peer: Peer) -> bool:
    """Whether frames hold all that a peer has written, each batch once."""
    links = map(batch_link, batches_in(plane, frames))
    spans = [(link.first, link.last) for link in links if link.author == peer.replica.id]
    ends = [0, *(last for _, last in spans)]
    return [first for first, _ in spans] == [last + 1 for last in ends[:-1]] and ends[-1] == peer.own_n()


def is_everything_in(peer: Peer, plane: PlaneOnRemote, frames: Iterable[bytes]) -> bool:
    """Whether the last batches of all authors are in frames."""
    return {(entry.author, entry.n) for entry in peer.position().frontier} <= heads(plane, frames)
