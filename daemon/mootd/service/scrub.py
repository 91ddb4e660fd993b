"""The scrub: a slow task that goes through the whole store now and then, to find what no checksum would.

LMDB has none. So each machine of a town verifies every hash, link and signature of its log, every record against its
events, and each plane's digest against the records, stretch by stretch, every `EVERY_MS`. Invariant: one machine of
the town does so at a time: it holds the lease `scrub`, and looks before each stretch whether its token still passes.
Who has lost it stops where it is and begins anew in its turn. Nothing is changed but this machine's note of the result.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.digest import Digest, place_prefix, place_suffix, terms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.genesis import PlaneKind
from moot_protocol.lease import Token, may_act
from moot_protocol.limits import LEASE_MARGIN_MS, LEASE_MS
from mootd.engine import layout
from mootd.engine.entities import Entities
from mootd.engine.fsck import Checker, Problem
from mootd.engine.leases import LeaseView, acquire, release
from mootd.engine.log import decode_feed
from mootd.engine.record import Record, decode_record
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

R = TypeVar("R")

NAME: Final = "scrub"
ACTOR: Final = "moot/scrub"
EVERY_MS: Final = 7 * 24 * 3600 * 1000
"""Between two scrubs of one machine."""
FIRST_MS: Final = 10 * 60 * 1000
"""After a start before anything is done, and between two looks whether it is time."""
PAUSE_MS: Final = 2_000
"""Between two stretches: a few percent of one core."""
_TOLD: Final = 20
"""Problems that are noted and told one by one."""


class Scrubbed(msgspec.Struct, array_like=True, frozen=True):
    """What this machine's last scrub found."""

    at_ms: int
    checked: int
    """Batches and records."""
    problems: int
    told: list[list[str]]
    """`[where, problem]` of the first."""


_decode: Final = msgspec.msgpack.Decoder(Scrubbed).decode


class Told(Protocol):
    """Is told what happens, for the log."""

    def __call__(self, event: str, /, **facts: object) -> object:
        """Something worth a line."""


class _Pass(NamedTuple):
    """A scrub that is under way."""

    token: Token
    is_log: bool = True
    is_done: bool = False
    after: bytes = b""
    checked: int = 0
    problems: tuple[Problem, ...] = ()
    moment: tuple[int, ...] = ()
    """What changes with every commit, when the records were begun; empty once one has come between."""
    digests: dict[int, int] = {}


def last_scrub(reader: Reader) -> Scrubbed | None:
    """What the last scrub found; None where there was none."""
    kept = reader.get(Table.META, layout.SCRUB)
    return None if kept is None else _decode(kept)


def scrub_alarms(reader: Reader) -> Iterator[dict[str, Any]]:
    """What a machine is told whose last scrub found something."""
    last = last_scrub(reader)
    if last is not None and last.problems:
        where, problem = last.told[0] if last.told else ("", "")
        yield {
            "code": "damaged",
            "severity": "alarm",
            "message": f"the last scrub found {last.problems} problems in the store, the first in {where}: {problem}",
            "hint": "`moot fsck` tells them all, and what to do",
        }


class Scrub:
    """The scrub of one machine.

    Args:
        replica: the replica.
        commit: carries out work in one write transaction, durably.
        executor: threads for the work.
        told: is told what happens.
    """

    def __init__(
        self, replica: Replica, commit: Callable[[Callable[[Unit], R]], R], executor: Executor, told: Told
    ) -> None:
        self._replica = replica
        self._commit: Callable[[Callable[[Unit], Any]], Any] = commit
        self._executor = executor
        self._told = told
        self._pass: _Pass | None = None

    async def run(self) -> None:
        """Scrub for ever, until cancelled."""
        wait_ms = FIRST_MS
        while True:
            await asyncio.sleep(wait_ms / 1000)
            try:
                wait_ms = await asyncio.get_running_loop().run_in_executor(self._executor, self.step)
            except Exception as error:  # whatever it is, the daemon goes on, and it is looked at again later
                self._pass = None
                self._told("scrub.failed", error=str(error))
                wait_ms = FIRST_MS

    def step(self) -> int:
        """Do the next stretch, if it is time for one. In a worker thread.

        Returns:
            Milliseconds to wait before the next.
        """
        if not any(row.kind == PlaneKind.LEDGER for row in self._replica.planes.values()):
            return FIRST_MS
        if self._pass is None and not self._is_due():
            return FIRST_MS
        if not self._holds() or self._pass is None:
            return FIRST_MS
        with self._replica.read() as reader:
            state = _Snapshot(self._replica, reader)
            if not self._may_act(state):
                return self._lost()
            self._pass = state.check_log(self._pass) if self._pass.is_log else state.check_records(self._pass)
        if self._pass.is_done:
            self._finish(self._pass)
            return FIRST_MS
        return PAUSE_MS

    def _is_due(self) -> bool:
        with self._replica.read() as reader:
            last = last_scrub(reader)
        return last is None or self._replica.wall.now_ms() >= last.at_ms + EVERY_MS

    # -- The lease -----------------------------------------------------------------------------------------------
    def _holds(self) -> bool:
        """Whether this machine holds the lease, taken or prolonged now where that is needed."""
        with self._replica.read() as reader:
            standing = _Snapshot(self._replica, reader).leases.standing(NAME)
        held = self._pass
        is_mine = standing is not None and held is not None and standing.token == held.token
        if held is not None and not is_mine:
            self._lost()
            return False
        if standing is not None and is_mine and standing.until_ms - self._now_ms() > LEASE_MS // 2 + LEASE_MARGIN_MS:
            return True
        try:
            taken = self._commit(lambda unit: acquire(unit, NAME, ACTOR, LEASE_MS)).standing
        except RefusedError as error:
            if error.code not in {Code.CONFLICT, Code.NOT_READY, Code.DENIED}:
                raise
            return False
        if held is None or held.token != taken.token:
            self._pass = _Pass(taken.token)
            self._told("scrub.begun", epoch=taken.token.epoch)
        return True

    def _may_act(self, state: "_Snapshot") -> bool:
        return self._pass is not None and may_act(self._pass.token, state.leases.standing(NAME), self._now_ms())

    def _now_ms(self) -> int:
        return max(self._replica.wall.now_ms(), to_ms(self._replica.clock.last))

    def _lost(self) -> int:
        held, self._pass = self._pass, None
        if held is not None:
            self._commit(lambda unit: release(unit, NAME, held.token.epoch, ACTOR))
            self._told("scrub.fenced", epoch=held.token.epoch)
        return FIRST_MS

    def _finish(self, done: _Pass) -> None:
        told = [[problem.where, problem.problem] for problem in done.problems[:_TOLD]]
        found = Scrubbed(self._replica.wall.now_ms(), done.checked, len(done.problems), told)

        def note(unit: Unit) -> None:
            unit.transaction.put(Table.META, layout.SCRUB, msgspec.msgpack.encode(found))
            release(unit, NAME, done.token.epoch, ACTOR)

        self._commit(note)
        self._pass = None
        self._told("scrub.done", checked=found.checked, problems=found.problems)
        for where, problem in told:
            self._told("scrub.problem", where=where, problem=problem)


class _Snapshot:
    """One moment of the store, and the check of a stretch of it."""

    def __init__(self, replica: Replica, reader: Reader) -> None:
        rows = reader.scan(Table.META, layout.FEEDS, layout.after(layout.FEEDS))
        self._reader = reader
        self._feeds = {int.from_bytes(key[len(layout.FEEDS) :], "big"): decode_feed(value) for key, value in rows}
        self._entities = Entities(
            reader, replica.views_of(reader), lambda feed: self._feeds[feed].author, replica.feed_number
        )
        self.leases = LeaseView(self._entities, replica.ledger, self._feeds.__getitem__)
        self._planes = sorted(replica.planes)

    def _moment(self) -> tuple[int, ...]:
        keys = (layout.ARRIVAL, layout.CUTS, layout.GENERATION)
        return tuple(int.from_bytes(self._reader.get(Table.META, key) or b"", "big") for key in keys)

    def check_log(self, done: _Pass) -> _Pass:
        """Check the next batches; at their end the heads of all feeds."""
        checker = Checker(self._entities, self._feeds)
        after, batches, _, problems = checker.check_batches(done.after)
        if not after:
            problems += [problem for number in self._feeds for problem in checker.check_head(number)]
        return done._replace(
            is_log=bool(after),
            after=after,
            checked=done.checked + batches,
            problems=(*done.problems, *problems),
            moment=() if after else self._moment(),
            digests={},
        )

    def check_records(self, done: _Pass) -> _Pass:
        """Check the next records, and sum up their digests as long as nothing is written meanwhile."""
        checker = Checker(self._entities, self._feeds)
        after, records, problems = checker.check_records(done.after)
        moment = done.moment if done.moment == self._moment() else ()
        digests = self._summed(done, after) if moment else {}
        if not after and moment:
            problems += self._digest_problems(digests)
        return done._replace(
            is_done=not after,
            after=after,
            checked=done.checked + records,
            problems=(*done.problems, *problems),
            moment=moment,
            digests=digests,
        )

    def _summed(self, done: _Pass, upto: bytes) -> dict[int, int]:
        """The digests of the records up to a key, or of all that are left."""
        sums = {plane: Digest(value) for plane, value in done.digests.items()}
        stop = upto + b"\0" if upto else None
        for _, value in self._reader.scan(self._entities.views.records, done.after + b"\0", stop):
            try:
                record = decode_record(value)
            except (msgspec.DecodeError, ValueError):
                continue  # told by the checker; its digest is missing in the sum then
            sums.setdefault(record.plane, Digest()).add(self._terms(record))
        return {plane: digest.value for plane, digest in sums.items()}

    def _terms(self, record: Record) -> int:
        prefix = place_prefix(record.kind, record.entity)
        suffixes = (
            ([pair[0] for pair in group.pairs], place_suffix(self._feeds[group.feed].author, group.n, group.leaf))
            for group in record.groups
        )
        return sum(terms(prefix, keys, suffix) for keys, suffix in suffixes)

    def _digest_problems(self, sums: dict[int, int]) -> list[Problem]:
        found = []
        for plane in self._planes:
            key = layout.digest_key(self._entities.views.generation, plane)
            kept = self._reader.get(Table.META, key) or bytes(32)
            if Digest(sums.get(plane, 0)).digest() != kept:
                found.append(Problem(f"plane {plane}", "its digest is not that of its records", "run `moot rebuild`"))
        return found
