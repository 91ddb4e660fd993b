"""A replica that keeps no rule: it signs what it likes, sends it to whom it likes, and knows all that anyone knows.

It can't forge signatures. What it signs is well formed often enough to be believed, and broken in every other way.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from moot_protocol import limits
from moot_protocol.clock import from_ms
from moot_protocol.codec import encode
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import MalformedError
from moot_protocol.exchange.frontier import FORMAT, Entry, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.messages import Place, Single, Want, build_batches, build_fork, build_want, fork_proof
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS, decode_batch, encode_batch
from moot_protocol.log.event import Dot
from moot_protocol.merge.kinds import ERASE
from moot_protocol.merge.register import MISSING
from moot_protocol.trust.charter import End
from moot_testkit.bytes.feeds import stripped, wire
from moot_testkit.bytes.forging import forged_batch
from moot_testkit.sim.hostile_erasing import copies, erased_key
from moot_testkit.sim.knowledge import Knowledge

MOST_AHEAD_MS = 3 * 86_400_000
"""How far ahead of the present it backs off from: batches beyond it are never due within a run."""

Packed = tuple[bytes, bytes]
"""An event's skeleton and values."""

Says = Callable[[int, dict[bytes, int]], Packed]
"""Makes an event of a time, and names whom it refers to in the table of authors."""


class Branch(NamedTuple):
    """One of the histories that it signs."""

    n: int
    head: bytes
    hlc: int
    path: tuple[bytes, ...] = ()
    """The ids of its batches, as far as this replica made them."""


class Change(NamedTuple):
    """A change to one key."""

    key: str
    over: Sequence[Dot]
    value: Any


class Hostile:
    """A hostile replica.

    Args:
        random: what all chance comes from.
        plane: the plane's 16 bytes.
        key: its own key, or one that it stole.
        opening: its certificate event's (kind, entity, key, value), or None if it has none.
        start: where its history begins: at nothing, or at the head of whoever it stole the key from.
        towns: the towns that it speaks of, where its key is a town's.
    """

    def __init__(
        self,
        random: Random,
        plane: bytes,
        key: SeedSigner,
        opening: Sequence[Any] | None,
        start: Branch | None = None,
        towns: Sequence[bytes] = (),
    ) -> None:
        self._random = random
        self._plane = plane
        self.key = key
        self._opening = opening
        self._towns = towns
        self._branches: list[Branch] = [start or Branch(0, ZEROS, 0)]
        self._counter = 0
        self._knowledge = Knowledge()
        self._now_ms = 0
        self.made: dict[bytes, bytes] = {}
        """Whole batches by id, as they would be sent."""
        self._torn: list[bytes] = []
        """A message that is to follow one that contradicts it."""
        self.sent: list[bytes] = []
        """Messages, for replays."""

    # -- Acting --------------------------------------------------------------------------------------------------
    def act(self, knowledge: Knowledge, now_ms: int) -> tuple[str, bytes]:
        """Do something: what it was, and the message to be sent."""
        self._knowledge, self._now_ms = knowledge, now_ms
        name = self._random.choices(_NAMES, _WEIGHTS)[0]
        message = _ACTS[name][1](self)
        self.sent.append(message)
        return name, message

    def tangle(self, knowledge: Knowledge, now_ms: int) -> bytes:
        """A message of one batch with a graph: issues that wait for one another every which way, one circle of all."""
        self._knowledge, self._now_ms = knowledge, now_ms
        names = [f"demo-tangle-{number}" for number in range(self._random.choice((6, 15, 40)))]
        pairs = [(name, self._random.choice(names)) for name in names * 2]
        pairs += zip(names, [*names[1:], names[0]], strict=True)
        self._random.shuffle(pairs)
        left = iter(pairs)

        def says(hlc: int, authors: dict[bytes, int]) -> Packed:
            source, target = next(left)
            return self._event(
                [Change("edges", (), [target, self._random.choice(_HOLDING), None, None, {}])], hlc, source, authors
            )

        message = self._message(self._extend(0, says=says, count=len(pairs)))
        self.sent.append(message)
        return message

    def erase(self, knowledge: Knowledge, now_ms: int) -> tuple[str, bytes]:
        """Erase what isn't its own, take back others' erasures, or send again what was erased: what, and a message."""
        self._knowledge, self._now_ms = knowledge, now_ms
        match self._random.randrange(20):
            case _ if self._torn:
                name, message = "torn erasures", self._torn.pop()
            case 0:
                name, message = "torn erasures", self._tear()
            case 2 | 3 | 4:
                name, message = "copies", self._message(*map(wire, copies(self._random, self._knowledge)))
            case 1:
                name, message = "forked erasures", self._fork(says=self._erasure)
            case _:
                name, message = "erasures", self._message(self._extend(self._pick_branch(), says=self._erasure))
        self.sent.append(message)
        return name, message

    def all_batches(self) -> bytes:
        """A message with everything that it made, whole, so that nothing stays its secret."""
        return self._message(*list(self.made.values())[-200:])

    def _message(self, *batches: bytes) -> bytes:
        return build_batches(self._plane, batches, (), ())

    # -- Batches -------------------------------------------------------------------------------------------------
    def _write(self) -> bytes:
        return self._message(*[self._extend(self._pick_branch()) for _ in range(self._random.randrange(1, 4))])

    def _pick_branch(self) -> int:
        return self._random.randrange(len(self._branches))

    def _fork(self, says: Says | None = None) -> bytes:
        """Go on from an earlier point of its history, beside what followed there."""
        earlier = [Branch(0, ZEROS, 0), *self._branches]
        earlier += [
            Branch(batch.header.last, batch.id, batch.header.hlc_last)
            for batch in (self._knowledge.batches.get(name) for name in self.made)
            if batch is not None and batch.header.author == self.key.public
        ]
        # Not at the very beginning unless there is nothing else: a feed that forks at 1 has nothing left to say.
        self._branches.append(self._random.choice(earlier[1:] if self._random.randrange(5) else earlier))
        at = len(self._branches) - 1
        return self._message(*[self._extend(at, says=says) for _ in range(self._random.randrange(1, 3))])

    def _backdate(self) -> bytes:
        return self._message(self._extend(self._pick_branch(), hlc=from_ms(self._now_ms - 86_400_000)))

    def _ahead(self) -> bytes:
        ahead = self._random.choice((60_000, 590_000, 610_000, 3_600_000, 86_400_000, 10 * MOST_AHEAD_MS))
        return self._message(self._extend(self._pick_branch(), hlc=from_ms(self._now_ms + ahead)))

    def _strip(self) -> bytes:
        """A batch without some of its values; most often its next one, behind all that came before it."""
        if self.made and not self._random.randrange(4):
            batch, before = decode_batch(self._random.choice(list(self.made.values())), verify=False), []
        else:
            at = self._pick_branch()
            raw = self._extend(at)
            if raw not in self.made.values():
                return self._message(raw)  # nobody could read it
            batch = decode_batch(raw, verify=False)
            before = [self.made[name] for name in self._branches[at].path[:-1]]
        absent = [event.n for event in batch.events if self._random.randrange(2)]
        return self._message(*before, wire(stripped(batch, absent or None)))

    def _flood(self) -> bytes:
        """Many small batches that follow nothing."""
        hlc = from_ms(self._now_ms + self._random.choice((0, 0, 3_600_000)))
        first = self._random.randrange(1000, 100_000)
        batches = []
        for step in range(self._random.choice((3, 30, 130))):
            events = [self._event([Change("title", (), "flood")], hlc + step, "x-flood", {})]
            batches.append(
                self._sign(Branch(first + 2 * step - 1, self._random.randbytes(32), 0), events, hlc + step, {})
            )
        return self._message(*batches)

    def _extend(self, at: int, hlc: int | None = None, *, says: Says | None = None, count: int = 0) -> bytes:
        """Sign the next batch of one of its histories: of a few random events, or of `count` that `says` makes."""
        branch = self._branches[at]
        hlc = max(branch.hlc + 1, from_ms(self._now_ms)) if hlc is None else hlc
        authors = {self.key.public: 0}
        events: list[Packed] = []
        last = hlc
        if branch.n == 0 and self._opening is not None:
            kind, entity, key, value = self._opening
            events.append(self._event([Change(key, (), value)], hlc, entity, authors, kind))
            hlc += 1
        for _ in range(count or self._random.randrange(1, 5)):
            events.append((says or self._random_event)(hlc, authors))
            last = hlc
            hlc += self._random.choice((1, 1, from_ms(1)))
        batch = self._sign(branch, events, last, authors)
        try:
            decoded = decode_batch(batch, verify=False)
        except MalformedError:
            return batch
        self.made[decoded.id] = batch
        self._knowledge.learn(decoded)
        self._branches[at] = Branch(decoded.header.last, decoded.id, last, (*branch.path, decoded.id))
        return batch

    def _sign(self, branch: Branch, events: Sequence[Packed], hlc_last: int, authors: dict[bytes, int]) -> bytes:
        return forged_batch(
            list(events),
            self.key,
            plane=self._plane,
            first=branch.n + 1,
            prev=branch.head,
            authors=list(authors)[1:],
            hlc_last=hlc_last,
        )

    # -- Events --------------------------------------------------------------------------------------------------
    def _random_event(self, hlc: int, authors: dict[bytes, int]) -> Packed:
        if self._towns and self._random.randrange(3):
            return self._membership(hlc, authors)
        kind = "issue"
        entity = self._random.choice(self._knowledge.issues or ["demo-1"])
        match self._random.randrange(14):
            case 0:
                entity = self._random.choice(("demo-x y", "ö" * 90, "demo-" + "9" * 180, "external:x", "-", "0"))
            case 1:
                kind, entity = "end", key_text(self._random.choice(self._knowledge.authors or [self.key.public]))
                return self._event(
                    [Change("end", (), list(End(0, ZEROS, self.key.public)))], hlc, entity, authors, kind
                )
            case 2:
                kind = self._random.choice(("role", "novelty", "memory", "usage", "formula", "certificate", "genesis"))
            case 3:
                kind = "role"
        keys = sorted(self._random.sample(_KEYS, self._random.randrange(1, 4)))
        if kind == "role":
            keys = ["document"]
        changes = [Change(key, self._over(entity, key), self._value(key)) for key in keys]
        packed = self._event(changes, hlc, entity, authors, kind)
        return (packed[0], self._spoiled(packed[1])) if not self._random.randrange(8) else packed

    def _membership(self, hlc: int, authors: dict[bytes, int]) -> Packed:
        """An end, an admission or an invite of whomever."""
        batch = self._random.choice(list(self._knowledge.batches.values()))
        author = batch.header.author
        town = self._random.choice([author, *self._towns])
        entity, kind, value = key_text(author), "", list[Any]()
        match self._random.randrange(4):
            case 0:
                kind, value = "admission", ["evil", self._random.choice(("admin", "admin", "writer", "reader"))]
            case 1:
                kind, value = "invite", ["writer", self._random.choice((ZEROS, town)), 0, bytes(32)]
            case _:
                n = self._random.randrange(batch.header.first, batch.header.last + 1)
                kind, value = "end", list(self._random.choice((End(n, batch.id, town), End(0, ZEROS, town))))
        return self._event([Change(kind, (), value)], hlc, entity, authors, kind)

    def _erasure(self, hlc: int, authors: dict[bytes, int]) -> Packed:
        """An event that erases whatever it likes, and names other erasures as if that took them back."""
        author = self._random.choice(self._knowledge.authors or [self.key.public])
        entity = self._random.choice((*[key_text(author)] * 12, key_text(author).upper(), "nobody", "demo-1"))
        keys = {erased_key(self._random, self._knowledge, author) for _ in range(self._random.choice((1, 2, 8, 30)))}
        here = [(dot, key) for dot, at, key in self._knowledge.dots if at == entity]
        if here and not self._random.randrange(3):
            keys |= {key for _, key in self._random.sample(here, min(3, len(here)))}
        changes = [
            Change(
                key,
                [dot for dot, at in here if at == key] if self._random.randrange(2) else self._over(entity, key),
                MISSING if not self._random.randrange(4) else None,
            )
            for key in sorted(keys)
        ]
        return self._event(changes, hlc, entity, authors, ERASE)

    def _tear(self) -> bytes:
        """Fork its feed: each branch erases another half of one batch, and they are sent one after the other."""
        known = [batch for batch in self._knowledge.batches.values() if len(batch.events) > 1]
        if not known:
            return self._write()
        batch = self._random.choice(known)
        at = self._pick_branch()
        self._extend(at)
        branch = self._branches[at]
        before = [self.made[name] for name in branch.path if name in self.made]
        for half in (0, 1):
            keys = [f"{event.n}.{event.leaf[:8].hex()}" for event in batch.events[half::2]]
            entity = key_text(batch.header.author)
            self._branches[at] = branch
            raw = self._extend(at, says=self._erasing(entity, keys), count=1)
            self._torn.append(self._message(*before, raw))
        return self._torn.pop()

    def _erasing(self, entity: str, keys: Sequence[str]) -> Says:
        changes = [Change(key, (), None) for key in sorted(keys)]
        return lambda hlc, authors: self._event(changes, hlc, entity, authors, ERASE)

    def _spoiled(self, values: bytes) -> bytes:
        """Values that are not what a reader expects, though their hash is right."""
        spoiled: tuple[bytes, ...] = (
            b"",
            b"\xc1",
            values[:-1],
            values + b"\0",
            encode([b"short salt", "x"]),
            encode([bytes(16)]),
            encode([bytes(16), *["x"] * 40]),
            encode({"not": "a list"}),
            self._random.randbytes(40),
            values + bytes(limits.EVENT_BYTES),
        )
        return self._random.choice(spoiled)

    def _over(self, entity: str, key: str) -> list[Dot]:
        """What a change supersedes: what is there, what isn't there yet, what stands elsewhere."""
        found: list[Dot] = []
        for _ in range(self._random.choice((0, 0, 1, 1, 2, 5))):
            here = [dot for dot, at, what in self._knowledge.dots if (at, what) == (entity, key)]
            dot = self._random.choice(here or [one[0] for one in self._knowledge.dots] or [self._guess()])
            match self._random.randrange(8):
                case 0:
                    dot = self._guess()
                case 1:
                    dot = dot._replace(leaf8=self._random.randbytes(8))
                case 2:
                    dot = dot._replace(n=dot.n + self._random.randrange(1, 5))
                case 3 if self._knowledge.dots:
                    dot = self._random.choice(self._knowledge.dots)[0]
            found.append(dot)
        return found

    def _guess(self) -> Dot:
        author = self._random.choice([*self._knowledge.authors, self._random.randbytes(32)])
        return Dot(author, self._random.randrange(1, 60), self._random.randbytes(8))

    def _value(self, key: str) -> Any:
        if not self._random.randrange(8):
            return MISSING  # a change that removes
        if self._random.randrange(3) == 0:
            return self._random.choice(
                (None, 0, -1, 2**63, 1.5, True, "", "x" * 600, [], {}, [[[[1]]]], b"\0", {"a": b"b"})
            )
        if key == "edges":
            kind = self._random.choice(("blocks", "conditional-blocks", "parent-child", "waits-for", "blocks" * 60))
            return [self._random.choice([*self._knowledge.issues, "demo-never"]), kind, None, None, {}]
        return self._random.choice(_VALUES.get(key, ["other", 7]))

    def _event(
        self, changes: Sequence[Change], hlc: int, entity: str, authors: dict[bytes, int], kind: str = "issue"
    ) -> Packed:
        packed = [
            [
                change.key,
                [[authors.setdefault(dot.author, len(authors)), dot.n, dot.leaf8] for dot in change.over],
                change.value is MISSING,
            ]
            for change in changes
        ]
        skeleton = encode([1, hlc, self._random.choice(("mallory", "", "alice")), kind, entity, packed])
        values = [change.value for change in changes if change.value is not MISSING]
        return skeleton, encode([self._random.randbytes(limits.SALT_BYTES), *values])

    # -- Other messages ------------------------------------------------------------------------------------------
    def _garbage(self) -> bytes:
        message = self._random.choice(self.sent) if self.sent and self._random.randrange(2) else b""
        if not message:
            return self._random.randbytes(self._random.randrange(200))
        at = self._random.randrange(len(message))
        return message[:at] + self._random.randbytes(self._random.randrange(4)) + message[at + 1 :]

    def _bad_batch(self) -> bytes:
        """A batch that is no batch, or belongs elsewhere."""
        hlc = from_ms(self._now_ms)
        event = self._event([Change("title", (), "x")], hlc, "demo-1", {})
        options: tuple[Callable[[], bytes], ...] = (
            lambda: forged_batch([event], self.key, plane=self._random.randbytes(16), first=1, hlc_last=hlc),
            lambda: forged_batch([event], self.key, plane=self._plane, first=7, hlc_last=hlc),
            lambda: forged_batch([event], self.key, plane=self._plane, first=1, hlc_last=hlc + 1),
            lambda: forged_batch([event] * 300, self.key, plane=self._plane, first=1, hlc_last=hlc),
            lambda: encode([1, b"", bytes(64), []]),
            lambda: self._random.randbytes(100),
            lambda: encode([1, *[bytes(limits.BATCH_BYTES)] * 2, []]),
        )
        return self._message(self._random.choice(options)())

    def _replay(self) -> bytes:
        known = list(self._knowledge.batches.values())
        picked = self._random.sample(known, min(len(known), self._random.randrange(1, 20)))
        return self._message(*[encode_batch(one.header_bytes, one.signature, one.events) for one in picked])

    def _repeat(self) -> bytes:
        return self._random.choice(self.sent) if self.sent else self._write()

    def _frontier(self) -> bytes:
        """A frontier of heads that nobody has."""
        self._counter += 1
        authors = sorted({*self._random.sample(self._knowledge.authors, min(3, len(self._knowledge.authors)))})
        entries = tuple(
            Entry(author, n, self._random.randbytes(32) if n else ZEROS, self._random.randrange(3) or (not n) * 5)
            for author in authors
            for n in [self._random.choice((0, 5, 10**6))]
        )
        body = FrontierBody(
            FORMAT, self._plane, self.key.public, ZEROS, self._counter, bytes(32), summary(entries), Form.ALL, entries
        )
        return build_frontier_message(self.key, body)

    def _want(self) -> bytes:
        """A want of things that there are and things that there aren't."""
        self._counter += 1
        to = self._random.choice(self._knowledge.authors or [self.key.public])
        places, singles = [], []
        for author in self._random.sample(self._knowledge.authors, min(3, len(self._knowledge.authors))):
            places.append(Place(author, self._random.choice((3, 2**64 - 1)), self._random.randbytes(32)))
            places.append(Place(author, 0, ZEROS))
            singles.append(Single(author, self._random.choice([*self._knowledge.batches, bytes(32)])))
        want = Want(FORMAT, self._plane, self.key.public, to, self._counter, tuple(places), tuple(singles))
        return build_want(self.key, want)

    def _proof(self) -> bytes:
        """The proof of a fork whose batches nobody has."""
        first = self._random.choice((1, 2, self._branches[0].n + 1, 40))
        headers = []
        for _ in range(2):
            hlc = from_ms(self._now_ms)
            event = self._event([Change("title", (), self._random.randbytes(4))], hlc, "demo-1", {})
            prev = ZEROS if first == 1 else self._random.randbytes(32)
            raw = forged_batch([event], self.key, plane=self._plane, first=first, prev=prev, hlc_last=hlc)
            batch = decode_batch(raw)
            headers.append((batch.header_bytes, batch.signature))
        return build_fork(fork_proof(headers[0], headers[1]))


_HOLDING = ("blocks", "conditional-blocks", "parent-child", "waits-for")
_KEYS = (
    "assignee", "comments", "deleted", "description", "document", "edges", "labels", "metadata", "novel", "priority",
    "status", "title",
)  # fmt: skip
_VALUES: dict[str, list[Any]] = {
    "assignee": ["mallory", "alice"],
    "comments": [["hello", None, None, None, {}]],
    "deleted": [["mallory", "", 1], ""],
    "description": ["line 0\nline 1", "mine"],
    "labels": ["evil", "ui"],
    "metadata": [["owner", '"mallory"'], ["origin", "not JSON"]],
    "priority": [0, 4, 9],
    "status": ["open", "closed", "pinned", "novel"],
    "title": ["gotcha", ""],
}
_ACTS: dict[str, tuple[int, Callable[[Hostile], bytes]]] = {
    "writes": (10, Hostile._write),
    "forks": (5, Hostile._fork),
    "backdated": (3, Hostile._backdate),
    "ahead": (4, Hostile._ahead),
    "stripped": (10, Hostile._strip),
    "floods": (1, Hostile._flood),
    "garbage": (3, Hostile._garbage),
    "bad batches": (3, Hostile._bad_batch),
    "replays": (5, Hostile._replay),
    "repeats": (3, Hostile._repeat),
    "false frontiers": (3, Hostile._frontier),
    "odd wants": (3, Hostile._want),
    "bare proofs": (1, Hostile._proof),
}
_NAMES = list(_ACTS)
_WEIGHTS = [weight for weight, _ in _ACTS.values()]
