"""The scrub: a slow task that goes through the whole store now and then, to find what no checksum would.

LMDB has none. So each machine of a town checks all that `moot fsck` does, stretch by stretch, every `EVERY_MS`.
Invariant: one machine of the town does so at a time: it holds the lease `scrub`, and looks before each stretch whether
its token still passes. Who has lost it stops where it is and begins anew in its turn. Nothing is changed but this
machine's notes of the result.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.exchange.task_lease import Standing, Token, may_act
from moot_protocol.limits import LEASE_MARGIN_MS, LEASE_MS
from moot_protocol.time_units import DAY_MS, MINUTE_MS
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.checking.fsck import Problem
from mootd.engine.checking.stretches import check_stretch
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.task_leases import LeaseView, acquire, release
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.service.machine.damage import Damages, Finding
from mootd.store.port import Reader, Table

R = TypeVar("R")

NAME: Final = "scrub"
ACTOR: Final = "moot/scrub"
BY: Final = "the scrub"
"""What finds it, in words."""
EVERY_MS: Final = 7 * DAY_MS
"""Between two scrubs of one machine."""
FIRST_MS: Final = 10 * MINUTE_MS
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
    begun_ms: int
    is_done: bool = False
    is_all: bool = True
    """Whether it was not the damage that ended it."""
    cursor: str = ""
    checked: int = 0
    problems: tuple[Problem, ...] = ()


def last_scrub(reader: Reader) -> Scrubbed | None:
    """What the last scrub found; None where there was none."""
    kept = reader.get(Table.META, layout.SCRUB)
    return None if kept is None else _decode(kept)


class Scrub:
    """The scrub of one machine.

    Args:
        replica: the replica.
        commit: carries out work in one write transaction, durably.
        executor: threads for the work.
        told: is told what happens.
        damages: where findings are kept.
    """

    def __init__(
        self,
        replica: Replica,
        commit: Callable[[Callable[[Unit], R]], R],
        executor: Executor,
        told: Told,
        damages: Damages,
    ) -> None:
        self._replica = replica
        self._commit: Callable[[Callable[[Unit], Any]], Any] = commit
        self._executor = executor
        self._told = told
        self._damages = damages
        self._pass: _Pass | None = None
        self._is_limited = False
        """Whether the lease could not be taken when it was tried last, though nobody held it."""
        self._tell_of_last()

    def _tell_of_last(self) -> None:
        """Tell of what the last scrub found where only its own note says so: before findings were kept."""
        with self._replica.read() as reader:
            last, is_kept = last_scrub(reader), reader.get(Table.META, layout.DAMAGE) is not None
        if last is not None and last.problems and not is_kept:
            first = ": ".join(last.told[0]) if last.told else ""
            self._damages.found(Finding(BY, last.problems, first, is_all=True))

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
            if not may_act(self._pass.token, _standing(self._replica, reader), self._now_ms()):
                return self._lost()
            self._pass = self._checked(self._pass, reader)
        if self._pass.is_done:
            self._finish(self._pass)
            return FIRST_MS
        return PAUSE_MS

    def _checked(self, done: _Pass, reader: Reader) -> _Pass:
        """The pass behind its next stretch."""
        try:
            found = check_stretch(self._replica, reader, done.cursor)
        except MootError as error:
            if error.code is not Code.STORE_DAMAGED:
                raise
            problem = Problem("the store", error.message, error.hint)
            return done._replace(is_done=True, is_all=False, problems=(*done.problems, problem))
        return done._replace(
            is_done=found.done,
            cursor=found.cursor,
            checked=found.checked,
            problems=(*done.problems, *found.problems),
        )

    def _is_due(self) -> bool:
        with self._replica.read() as reader:
            last = last_scrub(reader)
        return last is None or self._replica.wall.now_ms() >= last.at_ms + EVERY_MS

    # -- The lease -----------------------------------------------------------------------------------------------
    def _holds(self) -> bool:
        """Whether this machine holds the lease, taken or prolonged now where that is needed."""
        with self._replica.read() as reader:
            standing = _standing(self._replica, reader)
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
            if error.code not in {Code.CONFLICT, Code.NOT_READY, Code.DENIED, Code.LIMIT}:
                raise
            self._tell_of_limit(error)
            return False
        self._is_limited = False
        if held is None or held.token != taken.token:
            self._pass = _Pass(taken.token, self._damages.now_ms())
            self._told("scrub.begun", epoch=taken.token.epoch)
        return True

    def _tell_of_limit(self, error: RefusedError) -> None:
        """Tell, once, that somebody has put the lease out of reach for a while."""
        is_limited, self._is_limited = self._is_limited, error.code is Code.LIMIT
        if self._is_limited and not is_limited:
            self._told("scrub.kept_waiting", error=str(error), hint=error.hint)

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

        if done.problems:
            first, is_of_views = done.problems[0], all(problem.is_of_views for problem in done.problems)
            words = f"{first.where}: {first.problem}"
            self._damages.found(Finding(BY, len(done.problems), words, done.is_all, is_of_views))
        else:
            self._damages.sound_since(done.begun_ms)

        def note(unit: Unit) -> None:
            unit.transaction.put(Table.META, layout.SCRUB, msgspec.msgpack.encode(found))
            release(unit, NAME, done.token.epoch, ACTOR)

        self._commit(note)
        self._pass = None
        self._told("scrub.done", checked=found.checked, problems=found.problems)
        for where, problem in told:
            self._told("scrub.problem", where=where, problem=problem)


def _standing(replica: Replica, reader: Reader) -> Standing | None:
    """How the lease stands in a snapshot."""
    source = LogSnapshot(reader)
    entities = Entities(reader, replica.views_of(reader), lambda feed: source.feed(feed).author, replica.feed_number)
    return LeaseView(entities, replica.ledger, source.feed).standing(NAME)
