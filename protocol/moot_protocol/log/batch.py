r"""Batches: the events one author commits at once on one plane, under one signature.

    header    = [1, plane16, author32, first, count, prev32, root32, [author32, …], hlc_last]
    root      = Merkle root over the leaves
    signature = Ed25519("moot/batch/1\0" ‖ header)
    id        = SHA256(header)              prev = id of the author's previous batch on this plane, or zeros
    batch     = [1, header, signature, [[skeleton, values], …]]
                (values that are absent are the 32 bytes of their hash, as extension type 1)

`first` is 1 or more and `count` 1 to 256, `first` at most 2⁶⁴ − 1 − `count`; `prev` is zeros where `first` is 1, and
nowhere else. Up to 1,024 further authors stand in any order, none twice and never the batch's own; they need not be
points of the curve. Times ascend strictly from event to event; `hlc_last` is the last one's. The whole takes up to
98,304 bytes.

`decode_batch` checks size, version, structure, the root (`bad_hash`) and the signature (`bad_signature`), in this
order; `decode_signed` the signature before the events, and so before the root. Causality (does it follow its
predecessor?) is the reader's to check, who has the predecessor. Bytes are kept exactly as received.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

import msgspec

from moot_protocol import crypto, limits
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.log import merkle
from moot_protocol.log.event import FORMAT, Draft, Event, PlainDraft, build_event, decode_shaped, event_from_bytes

PLANE_BYTES: Final = 16
HASH_BYTES: Final = 32
ZEROS: Final = bytes(HASH_BYTES)
ABSENT: Final = 1
"""Extension type of a value hash that stands for absent values."""


class Header(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a batch's signature covers."""

    version: int
    plane: bytes
    author: bytes
    first: int
    """Number of the first event, from 1."""
    count: int
    prev: bytes
    root: bytes
    authors: tuple[bytes, ...]
    """Further authors that `over` names, from index 1; index 0 is the batch's own author."""
    hlc_last: int

    @property
    def last(self) -> int:
        """Number of the last event."""
        return self.first + self.count - 1


class Link(NamedTuple):
    """A batch by what links it, read from its header alone."""

    author: bytes
    first: int
    last: int
    prev: bytes
    id: bytes


class Batch(msgspec.Struct, frozen=True, gc=False):
    """A decoded batch with the bytes that were signed."""

    header: Header
    header_bytes: bytes
    signature: bytes
    events: tuple[Event, ...]
    id: bytes

    def author_of(self, index: int) -> bytes:
        """The author behind an index of this batch's author table."""
        return self.header.author if index == 0 else self.header.authors[index - 1]

    @property
    def link(self) -> Link:
        """What links it."""
        return _link(self.header, self.id)

    @property
    def is_complete(self) -> bool:
        """Whether every event has its values' bytes."""
        return all(event.values_bytes is not None for event in self.events)


PackedEvents: TypeAlias = tuple[tuple[bytes, bytes | msgspec.msgpack.Ext], ...]
"""Of each event its skeleton, and its values or their hash."""


class Outline(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A batch whose events have not been decoded."""

    header: Header
    header_bytes: bytes
    signature: bytes
    events: PackedEvents


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    version: int
    header: bytes
    signature: bytes
    events: PackedEvents


_decode_envelope: Final = decoder(_Envelope, FORMAT)
_decode_header: Final = decoder(Header, FORMAT)


def decode_header(data: bytes) -> Header:
    """Decode and check a header by itself.

    Raises:
        MalformedError: it breaks a rule of the format.
    """
    if len(data) > limits.BATCH_BYTES:
        raise MalformedError(f"a header of {len(data)} bytes", code=Code.TOO_LARGE)
    header = _decode_header(data)
    problem = _header_problem(header)
    if problem:
        raise MalformedError(f"a batch with {problem}")
    return header


def _header_problem(header: Header) -> str | None:
    if len(header.plane) != PLANE_BYTES or any(
        len(name) != HASH_BYTES for name in (header.author, header.prev, header.root, *header.authors)
    ):
        return "a key or hash of the wrong length"
    if not 0 < header.count <= limits.BATCH_EVENTS or not 0 < header.first <= MAX_HLC - header.count:
        return "event numbers out of range"
    if (header.first == 1) != (header.prev == ZEROS):
        return "a predecessor that doesn't fit its first number"
    if len(header.authors) > limits.BATCH_AUTHORS or len({header.author, *header.authors}) <= len(header.authors):
        return "an author table with repetitions, or too long"
    if not 0 < header.hlc_last <= MAX_HLC:
        return "a time out of range"
    return None


def decode_batch(data: bytes, *, verify: bool = True) -> Batch:
    """Decode a batch and check all of it that can be checked without its predecessor.

    Args:
        data: the batch's bytes.
        verify: False only for bytes whose signature this replica has verified before.

    Raises:
        MalformedError: with the code of the first check that fails: size, version, structure, root, signature.
    """
    outline = _outline_of(data)
    batch = decode_events(outline)
    if verify:
        _check_signature(outline)
    return batch


def decode_signed(data: bytes) -> Outline:
    """Decode a batch but for its events, and check its signature: `decode_events` checks the rest.

    So the events, which take ten times the memory of their bytes, need only be there while they are used.

    Raises:
        MalformedError: as `decode_batch`, for what is not the events' fault.
    """
    outline = _outline_of(data)
    _check_signature(outline)
    return outline


def decode_events(outline: Outline) -> Batch:
    """The whole batch of an outline.

    Raises:
        MalformedError: as `decode_batch`, for what is the events' fault.
    """
    header = outline.header
    events = _decode_events(header, outline.events)
    if merkle.root([event.leaf for event in events]) != header.root:
        raise MalformedError("events that are not those the header names", code=Code.BAD_HASH)
    return Batch(header, outline.header_bytes, outline.signature, events, sha256(outline.header_bytes).digest())


def _outline_of(data: bytes) -> Outline:
    if len(data) > limits.BATCH_BYTES:
        raise MalformedError(f"a batch of {len(data)} bytes", code=Code.TOO_LARGE)
    envelope = _decode_envelope(data)
    if len(envelope.signature) != crypto.SIGNATURE_BYTES:
        raise MalformedError("a signature of the wrong length")
    return Outline(decode_header(envelope.header), envelope.header, envelope.signature, envelope.events)


def _check_signature(outline: Outline) -> None:
    message = crypto.BATCH_DOMAIN + outline.header_bytes
    if not crypto.is_signed(outline.header.author, outline.signature, message):
        raise MalformedError("a batch that its author didn't sign", code=Code.BAD_SIGNATURE)


def batch_link(data: bytes) -> Link:
    """What links a batch, without checking its events or its signature.

    Raises:
        MalformedError: it has no header.
    """
    if len(data) > limits.BATCH_BYTES:
        raise MalformedError(f"a batch of {len(data)} bytes", code=Code.TOO_LARGE)
    envelope = _decode_envelope(data)
    header = decode_header(envelope.header)
    return _link(header, sha256(envelope.header).digest())


def _link(header: Header, id_: bytes) -> Link:
    return Link(header.author, header.first, header.last, header.prev, id_)


def _decode_events(header: Header, packed: PackedEvents) -> tuple[Event, ...]:
    if len(packed) != header.count:
        raise MalformedError(f"{len(packed)} events where the header names {header.count}")
    authors = len(header.authors) + 1
    events: list[Event] = []
    n, previous = header.first, 0
    for skeleton_bytes, content in packed:
        skeleton, keys = decode_shaped(skeleton_bytes, authors)
        if skeleton.hlc <= previous:
            raise MalformedError("events whose times don't ascend")
        previous = skeleton.hlc
        if isinstance(content, bytes):
            events.append(event_from_bytes(n, skeleton, skeleton_bytes, content, b"", keys))
        elif content.code == ABSENT and isinstance(content.data, bytes) and len(content.data) == HASH_BYTES:
            events.append(event_from_bytes(n, skeleton, skeleton_bytes, None, content.data, keys))
        else:
            raise MalformedError("an extension type that is not an absent value's hash")
        n += 1
    if previous != header.hlc_last:
        raise MalformedError("a last time that is not its last event's")
    return tuple(events)


def encode_batch(header_bytes: bytes, signature: bytes, events: Sequence[Event]) -> bytes:
    """The bytes of a batch, absent values as their hashes."""
    packed = tuple(
        (
            event.skeleton_bytes,
            msgspec.msgpack.Ext(ABSENT, event.values_hash) if event.values_bytes is None else event.values_bytes,
        )
        for event in events
    )
    return encode((FORMAT, header_bytes, signature, packed))


class BatchBuilder:
    """Collects events of one author on one plane until a limit of the format is reached.

    Args:
        plane: the plane's 16 bytes.
        author: the author's key.
        first: number of the first event to come.
        prev: id of the author's previous batch, or zeros.
    """

    # Room for what surrounds the events: header, signature and array marks, without the author table.
    _OVERHEAD: Final = 512
    _EVENT_OVERHEAD: Final = 12

    def __init__(self, plane: bytes, author: bytes, first: int, prev: bytes) -> None:
        self._plane = plane
        self._first = first
        self._prev = prev
        self._authors: dict[bytes, int] = {author: 0}
        self._size = self._OVERHEAD
        self.events: list[Event] = []

    @property
    def author(self) -> bytes:
        """The author's key."""
        return next(iter(self._authors))

    @property
    def next_n(self) -> int:
        """Number of the next event."""
        return self._first + len(self.events)

    @property
    def authors(self) -> list[bytes]:
        """The author table so far, own author first."""
        return list(self._authors)

    def add(self, draft: Draft | PlainDraft, hlc: int, salt: bytes) -> Event | None:
        """Add an event, or return None where this batch has no room for it.

        Raises:
            RefusedError: the draft passes a limit of the format by itself.
        """
        events, authors = self.events, self._authors
        count = len(events)
        if count == limits.BATCH_EVENTS:
            return None
        if count and hlc <= events[-1].skeleton.hlc:
            raise ValueError("a time that doesn't ascend: every reader would refuse the batch, and the feed after it")
        known = len(authors)
        try:
            event = build_event(self._first + count, draft, hlc, salt, authors)
            if len(authors) <= limits.BATCH_AUTHORS and self.take(event):
                return event
        except RefusedError:
            self._forget_authors(known)
            raise
        self._forget_authors(known)
        if events:
            return None
        raise RefusedError("this write names too many other writes for one event", code=Code.LIMIT)

    def take(self, event: Event) -> bool:
        """Add an event that was made for `next_n`, later than those before it, and whose authors are in the table.

        Returns:
            False where this batch has no room for it.
        """
        size = self._size + len(event.skeleton_bytes) + len(event.values_bytes or b"") + self._EVENT_OVERHEAD
        if len(self.events) == limits.BATCH_EVENTS or size + 34 * len(self._authors) > limits.BATCH_BYTES:
            return False
        self._size = size
        self.events.append(event)
        return True

    def _forget_authors(self, known: int) -> None:
        """Take back what an event that was not added has put into the author table."""
        while len(self._authors) > known:
            self._authors.popitem()

    def seal(self, sign: Callable[[bytes], bytes]) -> Batch:
        """Sign what was collected; there must be at least one event."""
        header = Header(
            FORMAT,
            self._plane,
            self.author,
            self._first,
            len(self.events),
            self._prev,
            merkle.root([event.leaf for event in self.events]),
            tuple(self._authors)[1:],
            self.events[-1].skeleton.hlc,
        )
        header_bytes = encode(header)
        signature = sign(crypto.BATCH_DOMAIN + header_bytes)
        return Batch(header, header_bytes, signature, tuple(self.events), sha256(header_bytes).digest())
