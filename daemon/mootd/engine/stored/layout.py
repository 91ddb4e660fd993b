"""How keys of the store's tables are made. Nothing else knows these bytes (a text's: `text_keys.py`).

Numbers are big-endian, so that keys order as numbers do. Entities go by a local number (`eid`), never by their text:
`ids` is then the only table whose keys come in random order, and every other grows at its end. Numbers of entities,
feeds, planes and projects mean something on this machine only.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from struct import Struct
from typing import Final

from mootd.engine.stored.text_keys import TEXT_KEY_BYTES, text_in, text_key
from mootd.store.port import Table

_U16: Final = Struct(">H").pack
_U32: Final = Struct(">I").pack
_U64: Final = Struct(">Q").pack
_FEED_FIRST: Final = Struct(">IQ").pack
_feed_first: Final = Struct(">IQ").unpack_from
_PLACE_BYTES: Final = 12

arrival_key: Final = _U64
"""Key of an event: its arrival number."""
eid_key: Final = _U64
"""Key of a record: its entity number."""

# -- META --------------------------------------------------------------------------------------------------------
RULES: Final = b"readiness-rules"
GENERATION: Final = b"generation"
ARRIVAL: Final = b"arrival"
CLOCK: Final = b"clock"
CUTS: Final = b"cuts"
CUT_REPORTS: Final = b"cut/"
PARKED: Final = b"parked/"
PROOFS: Final = b"proof/"
FAR_HEADS: Final = b"far-head/"
WITHHELD: Final = b"withheld/"
ERASED: Final = b"erased/"
COUNTERS: Final = b"counter/"
PLANES: Final = b"plane/"
FEEDS: Final = b"feed/"
FEED_OF: Final = b"feed-of/"
PROJECTS: Final = b"project/"
WORKSPACES: Final = b"workspace/"
REBUILD: Final = b"rebuild"
ANSWERS: Final = b"answer/"
ANSWER_TIMES: Final = b"answer-time/"
REMOTES: Final = b"remote/"
LAST_REMOTE: Final = b"last-remote"
_MODES: Final = b"mode/"
_CARRIED: Final = b"carried/"
_REWINDS: Final = b"rewind/"
_READ: Final = b"read/"
_OWN_REFS: Final = b"own-ref/"
_GAUGES: Final = b"outbox/"
_REACHED: Final = b"reached/"
SEEN: Final = b"seen/"
PENDING: Final = b"joining/"
_MEANT: Final = b"meant/"
KEY_NUMBERS: Final = b"key-number/"
HOME: Final = b"home"
COPIED: Final = b"copied"
DISOWNED: Final = b"disowned"
SHARED_KEYS: Final = b"shared-keys"
_SALVAGED: Final = b"salvaged/"
SPOOLS: Final = b"spool/"
SPOOLED: Final = b"spooled/"
SPOOLED_UNTIL: Final = b"spooled-until"
CLAIMS: Final = b"claim/"
LEASES_HELD: Final = b"lease-held/"
SCRUB: Final = b"scrub"
DAMAGE: Final = b"damage"
FOLLOWED: Final = b"followed"
UNCOPIED: Final = b"uncopied/"
TOLD: Final = b"told/"
_ISOLATED: Final = b"isolated/"
TOKENS: Final = b"access-token/"
TOKEN_USES: Final = b"access-token-use/"


def plane_key(plane: int) -> bytes:
    """META key of a plane's row."""
    return PLANES + _U16(plane)


def feed_key(feed: int) -> bytes:
    """META key of a feed's row."""
    return FEEDS + _U32(feed)


def feed_of_key(plane: int, author: bytes) -> bytes:
    """META key that leads from an author to its feed's number."""
    return FEED_OF + _U16(plane) + author


def lease_held_key(name: str) -> bytes:
    """META key of the epoch under which this machine takes itself to hold a lease."""
    return LEASES_HELD + name.encode()


def proof_key(feed: int) -> bytes:
    """META key of the proof of a feed's lowest fork."""
    return PROOFS + _U32(feed)


def far_head_key(feed: int) -> bytes:
    """META key of the latest parked batch of a feed that there was no room for."""
    return FAR_HEADS + _U32(feed)


def withheld_prefix(plane: int) -> bytes:
    """What all keys of a plane's batches with withheld values start with in META."""
    return WITHHELD + _U16(plane)


def withheld_key(plane: int, feed: int, first: int) -> bytes:
    """META key that marks an accepted batch some of whose values are withheld."""
    return WITHHELD + _U16(plane) + _FEED_FIRST(feed, first)


def withheld_parts(key: bytes) -> tuple[int, int]:
    """(feed, first) of a key that `withheld_key` made."""
    return int.from_bytes(key[-12:-8], "big"), int.from_bytes(key[-8:], "big")


def erased_key(feed: int, n: int, leaf8: bytes) -> bytes:
    """META key that marks an event of a feed as erased, by its number and the first 8 bytes of its leaf."""
    return ERASED + _FEED_FIRST(feed, n) + leaf8


def erased_parts(key: bytes) -> tuple[int, bytes]:
    """(n, leaf8) of a key that `erased_key` made."""
    return int.from_bytes(key[-16:-8], "big"), key[-8:]


def message_counter_key(plane: int) -> bytes:
    """META key of the highest number that any message about a plane may have."""
    return COUNTERS + _U16(plane)


def projects_prefix(plane: int) -> bytes:
    """What all keys of a plane's projects start with in META."""
    return PROJECTS + _U16(plane)


def project_key(plane: int, project: str) -> bytes:
    """META key that leads from a plane's project to its number."""
    return PROJECTS + _U16(plane) + text_key(project)


def counter_key(generation: int) -> bytes:
    """META key of the next entity number of a generation of views."""
    return b"next-eid/%d" % generation


def released_key(generation: int) -> bytes:
    """META key of the latest time until which anything that stands in a generation's READY was deferred."""
    return b"released/%d" % generation


def digest_key(generation: int, plane: int) -> bytes:
    """META key of a plane's digest in a generation of views."""
    return b"digest/%d/" % generation + _U16(plane)


# -- META: remotes -----------------------------------------------------------------------------------------------
def remote_key(remote: int) -> bytes:
    """META key of a remote's row."""
    return REMOTES + _U16(remote)


def mode_key(remote: int, plane: int) -> bytes:
    """META key of how a plane is exchanged with a remote."""
    return _MODES + _U16(remote) + _U16(plane)


def carried_prefix(remote: int, plane: int) -> bytes:
    """What META keys of the feeds of a plane that a remote carries start with; the author follows."""
    return _CARRIED + _U16(remote) + _U16(plane)


def rewind_prefix(remote: int, plane: int) -> bytes:
    """As `carried_prefix`, of feeds that a remote carries less of than was thought."""
    return _REWINDS + _U16(remote) + _U16(plane)


def isolated_key(plane: int) -> bytes:
    """META key of the remotes that an isolated plane is exchanged with, and no others."""
    return _ISOLATED + _U16(plane)


def read_key(remote: int, topic: bytes, sender: bytes, generation: int) -> bytes:
    """META key of the last commit read of a sender's ref."""
    return _READ + _U16(remote) + topic + sender + _U64(generation)


def own_ref_key(remote: int, plane: int) -> bytes:
    """META key of this replica's own ref on a remote."""
    return _OWN_REFS + _U16(remote) + _U16(plane)


def outbox_gauge_key(remote: int) -> bytes:
    """META key of how full a remote's queue is."""
    return _GAUGES + _U16(remote)


def reached_key(remote: int) -> bytes:
    """META key of when a remote was last reached."""
    return _REACHED + _U16(remote)


def remote_prefixes(remote: int) -> tuple[bytes, ...]:
    """What all META keys of a remote start with, its own row aside."""
    return tuple(prefix + _U16(remote) for prefix in (_MODES, _CARRIED, _REWINDS, _READ, _OWN_REFS, _GAUGES, _REACHED))


def seen_key(plane: int, sender: bytes) -> bytes:
    """META key of what a member last said of itself on a plane."""
    return SEEN + _U16(plane) + sender


def pending_key(plane: int) -> bytes:
    """META key of the certificate with which this replica will enter a plane whose charter hasn't come yet."""
    return PENDING + _U16(plane)


def meant_key(plane: int, invite: bytes) -> bytes:
    """META key of the role that an invite for another town was made for."""
    return _MEANT + _U16(plane) + invite


def salvaged_key(feed: int) -> bytes:
    """META key that marks a feed of this machine's whose lost events were written again."""
    return _SALVAGED + _U32(feed)


def key_number_key(name: str) -> bytes:
    """META key of which of several private keys a name stands for."""
    return KEY_NUMBERS + name.encode()


def town_name_key(town: bytes) -> bytes:
    """META key of what a town is called on this machine."""
    return b"town-name/" + town


# -- META: what this machine was told ------------------------------------------------------------------------------
def claims_prefix(actor: str) -> bytes:
    """What all META keys of an actor's claims made on this machine start with."""
    return CLAIMS + text_key(actor)


def claim_key(actor: str, plane: int, issue: str) -> bytes:
    """META key of a claim made on this machine."""
    return claims_prefix(actor) + _U16(plane) + issue.encode()


def claim_parts(actor: str, key: bytes) -> tuple[int, str]:
    """(plane, issue) of a key that `claim_key` made for an actor."""
    rest = key[len(claims_prefix(actor)) :]
    return int.from_bytes(rest[:2], "big"), rest[2:].decode()


def told_key(nudge: str, actor: str) -> bytes:
    """META key that marks a nudge that an actor was told on this machine."""
    return TOLD + text_key(actor) + nudge.encode()


def spooled_key(ms: int, command: bytes) -> bytes:
    """META key of what became of a command out of a spool, by when it was written."""
    return SPOOLED + _U64(ms) + command


def outbox_prefix(remote: int) -> bytes:
    """What all keys of a remote's queue start with in OUTBOX; a sequence number (8 bytes) follows."""
    return _U16(remote)


OTHER_PROJECTS: Final = 2**16 - 1
"""The number shared by all projects beyond what a key's two bytes can tell apart; readers compare names."""


# -- BATCHES and ASIDE -------------------------------------------------------------------------------------------
def batch_key(feed: int, first: int) -> bytes:
    """Key of an accepted batch."""
    return _FEED_FIRST(feed, first)


def aside_key(feed: int, first: int, batch_id: bytes) -> bytes:
    """Key of a batch that is held but not accepted."""
    return _FEED_FIRST(feed, first) + batch_id


def batch_place(key: bytes) -> tuple[int, int, bytes]:
    """What `batch_key` or `aside_key` was made of: feed, first, id (empty in the former); zeros of a damaged key."""
    feed, first = _feed_first(key) if len(key) >= _PLACE_BYTES else (0, 0)
    return feed, first, key[_PLACE_BYTES:]


def feed_prefix(feed: int) -> bytes:
    """What all keys of a feed start with in BATCHES and ASIDE."""
    return _U32(feed)


# -- IDS ---------------------------------------------------------------------------------------------------------
def id_key(plane: int, kind: str, entity: str) -> bytes:
    """Key of an entity. Kinds hold no zero byte, so that kinds can't run into entities."""
    return id_prefix(plane, kind) + entity.encode()


@lru_cache(maxsize=256)
def id_prefix(plane: int, kind: str) -> bytes:
    """What all keys of a plane's entities of a kind start with in IDS."""
    return _U16(plane) + kind.encode() + b"\0"


def id_entity(key: bytes) -> str:
    """The entity's id inside an `id_key`."""
    return key[key.index(b"\0", 2) + 1 :].decode()


# -- INDEX -------------------------------------------------------------------------------------------------------
STATUS: Final = b"s"
ASSIGNEE: Final = b"a"
LABEL: Final = b"l"
UPDATED: Final = b"u"
READY: Final = b"r"
DEFERRED: Final = b"d"
BLOCKED: Final = b"k"
CONFLICT: Final = b"x"
DELETED: Final = b"g"
EDGE: Final = b"f"
BACK_EDGE: Final = b"b"
CYCLE: Final = b"c"
STANDING: Final = b"w"
ALIAS: Final = b"n"
LEASE: Final = b"h"

_EID: Final = Struct(">Q")
_ORDER: Final = Struct(">BQHQ")
_TIMED: Final = Struct(">QQ")
_edge_ends: Final = _TIMED.unpack_from
_TIMED_KEY: Final = Struct(">cHQQ").pack
_READY_KEY: Final = Struct(">cHBBQHQ").pack
_ORDER_BYTES: Final = _ORDER.size
_PRIORITIES: Final = tuple(map(int.to_bytes, range(256)))
_NEWEST_FIRST: Final = 2**64 - 1


def project_prefix(prefix: bytes, project: int) -> bytes:
    """What all keys of a project start with in one index."""
    return prefix + _U16(project)


def text_prefix(prefix: bytes, project: int, text: str) -> bytes:
    """What all keys of a project with one text (a status, a name, a label) start with; long ones aren't remembered."""
    make = _text_prefix if len(text) <= TEXT_KEY_BYTES else _text_prefix.__wrapped__
    return make(prefix, project, text)


@lru_cache(maxsize=4096)
def _text_prefix(prefix: bytes, project: int, text: str) -> bytes:
    return prefix + _U16(project) + text_key(text)


def text_of(prefix: bytes) -> str | None:
    """The text that a `text_prefix` was made of; None where a hash may stand for a part of it."""
    return text_in(prefix[3:])


def tie_of(entity: str) -> int:
    """What orders issues of equal priority and time alike on every machine: 16 bits of a hash of the id."""
    return int.from_bytes(sha256(entity.encode()).digest()[:2], "big")


def order_suffix(priority: int, created_ms: int, tie: int, eid: int) -> bytes:
    """Ends a key so that keys order by priority, then newest first, then by tie.

    The entity's number, which is another on every machine, is the last 8 bytes; it decides where all else is equal.
    """
    return _ORDER.pack(min(max(priority, 0), 255), _NEWEST_FIRST - created_ms, tie, eid)


def with_priority(key: bytes, priority: int) -> bytes:
    """A key that ends in an `order_suffix`, for another priority (0 to 255)."""
    return key[:-_ORDER_BYTES] + _PRIORITIES[priority] + key[1 - _ORDER_BYTES :]


priority_of: Final[Callable[[bytes], int]] = itemgetter(-_ORDER_BYTES)
"""The priority in a key that ends in an `order_suffix`."""


def with_time(key: bytes, ms: int) -> bytes:
    """A `timed_key`, for another time."""
    return key[:3] + _U64(ms) + key[-8:]


order_of: Final[Callable[[bytes], bytes]] = itemgetter(slice(-_ORDER.size, None))
"""The `order_suffix` of a key, by which keys of several lists are merged."""


by_time: Final[Callable[[bytes], bytes]] = itemgetter(slice(3, None))
"""What of a `timed_key` orders those of several projects: all but the project."""


def aliases_prefix(plane: int, start: str = "") -> bytes:
    """What all keys of a plane's aliases that begin so start with."""
    return ALIAS + _U16(plane) + start.encode("utf-8", "surrogatepass")


def alias_key(plane: int, alias: str, eid: int) -> bytes:
    """Key of an alias: leads from it to its issue."""
    return ALIAS + _U16(plane) + text_key(alias) + _U64(eid)


def alias_parts(key: bytes) -> tuple[str, int]:
    """What `alias_key` was made of: alias, eid."""
    return key[3:-9].decode("utf-8", "surrogatepass"), eid_of(key)


def timed_key(prefix: bytes, project: int, ms: int, eid: int) -> bytes:
    """Key of an index in order of time."""
    return _TIMED_KEY(prefix, project, ms, eid)


def ready_key(project: int, issue_class: int, priority: int, created_ms: int, tie: int, eid: int) -> bytes:
    """Key of an issue that is ready; ends in its `order_suffix`, as those of BLOCKED and DEFERRED do."""
    return _READY_KEY(READY, project, issue_class, priority, _NEWEST_FIRST - created_ms, tie, eid)


def blocked_key(ready: bytes) -> bytes:
    """Key of a blocked issue, by its key in READY: it stands with those of all classes."""
    return BLOCKED + ready[1:3] + ready[4:]


def deferred_key(ms: int, rest: bytes) -> bytes:
    """Key of an issue that would be ready but for its time; `rest` is its key in READY without the prefix byte."""
    return DEFERRED + _U64(ms) + rest


def lease_key(until_ms: int, rest: bytes) -> bytes:
    """Key of an issue in progress whose claim ends then; `rest` as in `deferred_key`."""
    return LEASE + _U64(until_ms) + rest


project_and_class: Final = Struct(">9xHB").unpack_from
"""(project, issue class) in a key that `deferred_key` or `lease_key` made."""


def eid_of(key: bytes) -> int:
    """The entity's number at the end of a key."""
    number: int = _EID.unpack_from(key, len(key) - 8)[0]
    return number


def standing_key(eid: int) -> bytes:
    """Key of an issue's standing (see `graph.py`)."""
    return STANDING + _U64(eid)


def edge_key(prefix: bytes, at: int, other: int, edge_type: str) -> bytes:
    """Key of an edge, seen from `at`: EDGE and CYCLE from the issue that depends, BACK_EDGE from the other."""
    return prefix + _TIMED.pack(at, other) + text_key(edge_type)[:-1]


def edge_parts(key: bytes) -> tuple[int, int, str]:
    """What `edge_key` was made of: at, other, type."""
    at, other = _edge_ends(key, 1)
    return at, other, _edge_type(key[17:])


@lru_cache(maxsize=256)
def _edge_type(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def edges_prefix(prefix: bytes, at: int) -> bytes:
    """What all edges of an issue start with."""
    return prefix + _U64(at)


def after(prefix: bytes) -> bytes:
    """The least key above all that start with `prefix` (whose last byte is below 255, or carries)."""
    number = int.from_bytes(prefix, "big") + 1
    return number.to_bytes(len(prefix), "big")


class Views:
    """The three view tables of one generation."""

    __slots__ = ("generation", "ids", "index", "records")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.ids = (Table.IDS_0, Table.IDS_1)[generation]
        self.records = (Table.RECORDS_0, Table.RECORDS_1)[generation]
        self.index = (Table.INDEX_0, Table.INDEX_1)[generation]
