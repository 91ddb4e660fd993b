r"""Frontiers: what a replica has accepted of a plane, an entry for each author, and how it tells others.

    entry    = [author32, n, id of the batch that holds n, lowest forked number or 0]
    frontier = [entry, …]                     ascending by author; authors of whom nothing is known are left out
    summary  = SHA256(frontier)
    body     = [1, plane16, sender32, to32, counter, digest32, summary32, form, [entry, …]]
    message  = [1, 1, body, Ed25519("moot/frontier/1\0" ‖ body)]

A frontier that doesn't fit a message is spelled out as spans, and then the parts in which `to` differs (`spans.py`).
Heads stand beside numbers, because two branches of one feed may have the same number. `to` is zeros in a message to
everyone; `counter` rises with every message that a sender signs on a plane, and a lower one is stale.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from enum import IntEnum
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

import msgspec

from moot_protocol import crypto, limits
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import encode
from moot_protocol.exchange.signed import Envelope
from moot_protocol.log.batch import HASH_BYTES, PLANE_BYTES, ZEROS

FORMAT: Final = 1
MESSAGE_TYPE: Final = 1


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How far one author's feed is accepted."""

    author: bytes
    n: int
    """The highest accepted number, 0 for none."""
    head: bytes
    """Id of the batch that holds it, 32 zeros for none."""
    forked_at: int = 0
    """The lowest number at which two different batches are known, 0 for none."""


Frontier: TypeAlias = tuple[Entry, ...]
"""Entries in ascending order of author."""


class Difference(NamedTuple):
    """An author on whom two frontiers differ; an entry without number and fork where one knows nothing."""

    mine: Entry
    theirs: Entry


class Form(IntEnum):
    """How much of the sender's frontier a message spells out."""

    SUMMARY = 0
    """Nothing: the summary says whether it differs."""
    ALL = 1
    """Every entry."""
    SOME = 2
    """The entries that differ from those that `to` has sent; also for authors that the sender knows nothing of."""
    SPANS = 3
    """No entries but spans of them (`spans.py`), where all of them don't fit a message."""
    PART = 4
    """Every entry of the authors from the first one named to the last one named."""


class FrontierBody(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a replica signs about its state."""

    version: int
    plane: bytes
    sender: bytes
    to: bytes
    """The replica that this answers, or zeros."""
    counter: int
    digest: bytes
    """The plane's running digest (32 bytes) at this frontier."""
    summary: bytes
    form: Form
    entries: Frontier


def author_of(entry: Entry) -> bytes:
    """Whose entry it is."""
    return entry.author


def summary(frontier: Frontier) -> bytes:
    """The 32 bytes that equal frontiers share."""
    return sha256(encode(frontier)).digest()


def compare(mine: Frontier, theirs: Frontier, form: Form = Form.ALL) -> Iterator[Difference]:
    """What differs between two frontiers, ascending by author.

    Args:
        mine: this replica's frontier.
        theirs: the entries that the other one sent.
        form: whether those are all of its entries, all of a range of authors, or only some.
    """
    if form is Form.PART:
        low, high = theirs[0].author, theirs[-1].author
        start = bisect_left(mine, low, key=author_of)
        mine = mine[start : bisect_right(mine, high, lo=start, key=author_of)]
    own, others = ({entry.author: entry for entry in frontier} for frontier in (mine, theirs))
    for author in sorted(own.keys() | others.keys() if form in {Form.ALL, Form.PART} else others.keys()):
        difference = Difference(own.get(author, Entry(author, 0, ZEROS)), others.get(author, Entry(author, 0, ZEROS)))
        if difference.mine != difference.theirs:
            yield difference


def build_frontier_message(signer: crypto.Signer, body: FrontierBody) -> bytes:
    """Sign a frontier message."""
    return _ENVELOPE.build(signer, body)


def decode_frontier_message(data: bytes) -> FrontierBody:
    """Decode a frontier message and verify that its sender signed it.

    Raises:
        MalformedError: with the code of the first check that fails: size, version, structure, signature.
    """
    return _ENVELOPE.decode(data)


def _problem_of(body: FrontierBody) -> str | None:
    return _body_problem(body) or _entries_problem(body)


def _body_problem(body: FrontierBody) -> str | None:
    if len(body.plane) != PLANE_BYTES or any(
        len(name) != HASH_BYTES for name in (body.sender, body.to, body.digest, body.summary)
    ):
        return "a key or hash of the wrong length"
    if not 0 < body.counter <= MAX_HLC:
        return "a counter out of range"
    if body.form is Form.SUMMARY and body.entries:
        return "entries beside a mere summary"
    if body.form is Form.ALL and summary(body.entries) != body.summary:
        return "entries that are not those of its summary"
    if body.form is Form.PART and not body.entries:
        return "a part of nothing"
    return "an answer to nobody" if body.form > Form.ALL and body.to == ZEROS else None


def _entries_problem(body: FrontierBody) -> str | None:
    if len(body.entries) > limits.FRONTIER_ENTRIES:
        return f"more than {limits.FRONTIER_ENTRIES} entries"
    if not _ascend(entry.author for entry in body.entries):
        return "entries that don't ascend"
    for entry in body.entries:
        if len(entry.author) != HASH_BYTES or len(entry.head) != HASH_BYTES or (entry.n == 0) != (entry.head == ZEROS):
            return "an author or head that is none"
        if not 0 <= entry.n <= MAX_HLC or not 0 <= entry.forked_at <= MAX_HLC:
            return "a number out of range"
        if body.form is Form.ALL and not entry.n and not entry.forked_at:
            return "an entry that says nothing"
    return None


def _ascend(names: Iterable[bytes]) -> bool:
    previous = b""
    for name in names:
        if name <= previous:
            return False
        previous = name
    return True


_ENVELOPE: Final = Envelope(
    FrontierBody,
    FORMAT,
    type=MESSAGE_TYPE,
    domain=crypto.FRONTIER_DOMAIN,
    name="a frontier",
    most_bytes=limits.SYNC_MESSAGE_BYTES,
    problem_of=_problem_of,
)
