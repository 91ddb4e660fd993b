"""What a replica knows between transactions: its store, keys, clock and entropy, and what META holds.

Invariant: between transactions the fields here equal what META holds. They are read once at opening (heads and digests
only, never the log), changed only when a unit has committed, and safe to read from any thread.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moot_protocol.clock import HybridClock
from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import CHARTER
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.levels import Readings
from moot_protocol.trust.towns import Towns
from mootd.config import OutboxConfig
from mootd.engine.keyring import Keyring, stored_name
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import FeedRow, PlaneRow, decode_feed, decode_plane, decode_project
from mootd.engine.views.known_rows import KnownRows
from mootd.engine.views.restored import Restored
from mootd.ports import Clock, Entropy, KeyStore
from mootd.store.port import Reader, ReadTransaction, Store, Table

TOWN_KEY = "town"
REPLICA_KEY = "replica"


def no_town(hint: str = "run `moot init` or `moot join` first") -> RefusedError:
    """The refusal of what needs a town, where there is none yet: somebody has to act, so that waiting mends nothing."""
    return RefusedError("there is no town on this machine yet", code=Code.NOT_READY, hint=hint)


class Changes:
    """How often what seldom changes has changed since the opening: whoever read it under one number has it still."""

    def __init__(self) -> None:
        self.remotes = 0
        """Goes up when a remote was added or removed."""
        self.feeds = 0
        """Goes up with whatever changes whose feeds there are; not with what is written to them."""
        self.foreign: tuple[int, Mapping[int, FeedRow]] = (-1, {})
        """`feeds` when feeds were last looked through for those of other towns, and those, as they were then."""


class State:
    """One data directory, as it stands.

    Args:
        store: where log and views lie.
        keys: this machine's private keys.
        clock: the machine's clock.
        entropy: where salts and ids come from.
    """

    outbox_caps = OutboxConfig()
    """How much may wait for each remote, unless this machine was told otherwise."""
    others_wait: Callable[[], bool] = staticmethod(lambda: False)
    """Tells a transaction that takes long whether anybody waits for the next one."""

    follows_erasures = False
    """Whether erasures were settled since this start: an earlier release, which knows none, may have run before."""

    def __init__(self, store: Store, keys: KeyStore, clock: Clock, entropy: Entropy) -> None:
        self.store = store
        self.keys = Keyring(keys)
        self.wall = clock
        self.entropy = entropy
        self.feeds: dict[int, FeedRow] = {}
        self.feed_numbers: dict[tuple[int, bytes], int] = {}
        self.planes: dict[int, PlaneRow] = {}
        self.projects: dict[tuple[int, str], int] = {}
        """(plane, name) → number of every project."""
        self.generation = 0
        self.arrival = 1
        self.cuts = 0
        self.clock = HybridClock()
        self.message_counters: dict[int, Iterator[int]] = {}
        """plane → reserved numbers for what this replica says of itself: one sequence, whichever remote hears it."""
        self.disowned = 0
        """How many of the town's keys, though they are here, are another machine's to use: it is a copy of that one.

        They are the first; a later one was made here, by a recovery."""
        self.is_moved = False
        """Whether this start found the data directory in another place, without taking it for a copy."""
        self.tended: dict[int, object] = {}
        """plane → what was held of it when it was last seen to (`tending.py`)."""
        self.told_versions: dict[int, tuple[bytes, str]] = {}
        """plane → (replica, version) that this machine is known to have told there (`versions.py`). A cache."""
        self.readings = Readings()
        """What was read of charters. A cache: a batch's id names all that leads to it."""
        self.towns_read: dict[int, tuple[object, Towns | None]] = {}
        """plane → the state of its charters when they were last evaluated, and what came of it. A cache too."""
        self.settled: dict[int, Towns] = {}
        """plane → the towns by which all its feeds were settled, as committed; not before that in this process."""
        self.names: dict[tuple[int, bytes], frozenset[bytes]] = {}
        """(plane, author) → the towns and signers that its first events name (`concern.py`). A cache too."""
        self.town_names: dict[int, tuple[object, dict[bytes, str]]] = {}
        """plane → the state of its charters when they were last read for names, and the names. A cache too."""
        self.restored = Restored()
        """What was found of whether feeds' lost events are there again. A cache too."""
        self.rows: KnownRows[Any] = KnownRows()
        """What lists showed lately."""
        self._signers: dict[str, Signer] = {}
        self._load()

    def _load(self) -> None:
        self.changes = Changes()
        with self.store.read() as txn:
            meta = {
                key: value
                for key in (layout.GENERATION, layout.ARRIVAL, layout.CUTS, layout.CLOCK)
                if (value := txn.get(Table.META, key)) is not None
            }
            self.generation = int.from_bytes(meta.get(layout.GENERATION, b""), "big")
            self.arrival = int.from_bytes(meta.get(layout.ARRIVAL, b"\1"), "big")
            self.cuts = int.from_bytes(meta.get(layout.CUTS, b""), "big")
            self.clock = HybridClock(int.from_bytes(meta.get(layout.CLOCK, b""), "big"))
            numbers = txn.scan(Table.META, layout.KEY_NUMBERS, layout.after(layout.KEY_NUMBERS))
            self.keys.update({key[len(layout.KEY_NUMBERS) :].decode(): value[0] for key, value in numbers})
            disowned = txn.get(Table.META, layout.DISOWNED)  # empty until a key has been made behind them
            self.disowned = 0 if disowned is None else disowned[0] if disowned else self.keys.latest(TOWN_KEY)
            for key, value in txn.scan(Table.META, layout.PLANES, layout.after(layout.PLANES)):
                self.planes[int.from_bytes(key[len(layout.PLANES) :], "big")] = decode_plane(value)
            for key, value in txn.scan(Table.META, layout.FEEDS, layout.after(layout.FEEDS)):
                number, row = int.from_bytes(key[len(layout.FEEDS) :], "big"), decode_feed(value)
                self.feeds[number] = row
                self.feed_numbers[row.plane, row.author] = number
            for _, value in txn.scan(Table.META, layout.PROJECTS, layout.after(layout.PROJECTS)):
                project_number, plane, project = decode_project(value)
                self.projects[plane, project] = project_number

    # -- What is here --------------------------------------------------------------------------------------------
    @property
    def is_founded(self) -> bool:
        """Whether this replica belongs to a town."""
        return bool(self.planes)

    def views_of(self, reader: Reader) -> Views:
        """The tables of the generation that is current in a snapshot."""
        kept = reader.get(Table.META, layout.GENERATION)
        return Views(int.from_bytes(kept or b"", "big"))

    def feed_number(self, plane: int, author: bytes) -> int | None:
        """The number of an author's feed, or None."""
        return self.feed_numbers.get((plane, author))

    def read(self) -> ReadTransaction:
        """A snapshot of the store."""
        return self.store.read()

    def plane_named(self, name: str) -> PlaneRow:
        """A plane by its name.

        Raises:
            RefusedError: `not_ready`, where there is no town yet; `not_found`, where there is no such plane.
        """
        for row in self.planes.values():
            if row.name == name:
                return row
        if not self.planes:
            raise no_town("run `moot init` in your project")
        raise RefusedError(f"there is no plane named {name}", code=Code.NOT_FOUND)

    @property
    def ledger(self) -> PlaneRow:
        """The machine's first ledger: where a new project goes unless another plane is named.

        Raises:
            RefusedError: `not_ready`, where there is no town yet; `not_found`, where there is no such plane.
        """
        for row in self.planes.values():
            if row.kind == PlaneKind.LEDGER:
                return row
        if not self.planes:
            return self.plane_named(PlaneKind.LEDGER)
        if all(row.town in self.own_towns() for row in self.planes.values()):
            hint = "`moot plane create ledger --kind ledger` founds one"
        else:
            hint = "run `moot invite` where its town has one, and `moot join` here; or name a plane with --plane"
        raise RefusedError("this machine has no ledger", code=Code.NOT_FOUND, hint=hint)

    @property
    def settings_plane(self) -> int:
        """The number of the plane that the town's settings stand on: the first ledger's, 0 where there is none."""
        return next((row.number for row in self.planes.values() if row.kind == PlaneKind.LEDGER), 0)

    def signer(self, name: str) -> Signer:
        """One of this replica's keys by its name, read once."""
        stored = self.keys.raw(name)
        if self.keys.is_tried(stored):
            return self.keys.signer(name)
        if stored not in self._signers:
            self._signers[stored] = self.keys.signer(name)
        return self._signers[stored]

    def signer_of(self, public: bytes) -> Signer:
        """The private key behind a public one of ours."""
        for signer in list(self._signers.values()):
            if signer.public == public:
                return signer
        for name in (REPLICA_KEY, TOWN_KEY):
            if self.keys.has(name) and self.signer(name).public == public:
                return self.signer(name)
        stored = (each for name in (TOWN_KEY, REPLICA_KEY) for each in self.keys.stored(name))
        for each in stored:
            if self.signer(each).public == public:
                return self.signer(each)
        raise RefusedError("the private key of an author isn't on this machine", code=Code.NOT_FOUND)

    @property
    def is_disowned(self) -> bool:
        """Whether keys of the town's that are here are another machine's to use."""
        return self.disowned > 0

    def own_towns(self) -> frozenset[bytes]:
        """The keys that this machine's own town has, or ever had; none of those that another machine keeps."""
        others = self._others_keys()
        return frozenset(self.signer(each).public for each in self.keys.stored(TOWN_KEY) if each not in others)

    def disowned_towns(self) -> frozenset[bytes]:
        """The town's keys that are here, and that another machine keeps: this one is a copy of it."""
        others = self._others_keys()
        return frozenset(self.signer(each).public for each in self.keys.stored(TOWN_KEY) if each in others)

    def _others_keys(self) -> set[str]:
        return {stored_name(TOWN_KEY, number) for number in range(1, self.disowned + 1)}

    @property
    def id(self) -> bytes:
        """This replica's 32-byte key."""
        return self.signer(REPLICA_KEY).public

    def own_feed(self, plane: int) -> int:
        """The number of this replica's feed on a plane.

        Raises:
            RefusedError: `not_ready`: the feed isn't open, since the charter of a joined plane hasn't come yet, or lets
                in no such key.
        """
        if self.is_waiting(plane):
            name = self.planes[plane].name
            if any(row.plane == plane and row.kind == CHARTER and row.n for row in list(self.feeds.values())):
                raise RefusedError(
                    f"this machine's key has no part in plane {name} yet",
                    code=Code.NOT_READY,
                    hint="`moot status` says what it lacks there",
                    retryable=True,  # what lets it in may be on its way still
                )
            raise RefusedError(
                f"plane {name} is waiting for its charter; run `moot sync --wait`", code=Code.NOT_READY, retryable=True
            )
        return self.feed_numbers[plane, self.id]

    def is_waiting(self, plane: int) -> bool:
        """Whether this replica's feed on a plane isn't open yet, since the plane's charter has to come first."""
        row = self.feeds.get(self.feed_numbers.get((plane, self.id), 0))
        # A feed that others named, before this replica opened it, has a row too.
        return row is None or not (row.n or row.ended or row.is_aside)
