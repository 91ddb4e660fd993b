"""One replica as the simulation runs it: it works, talks, crashes, finds its disk full, and begins anew."""

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from moot_protocol.errors import STORE_CODES, Code, MalformedError, MootError, RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddComment, Create
from moot_testkit.laws import replica as laws
from moot_testkit.laws.replica import Acknowledged, require
from moot_testkit.sim.knowledge import Knowledge
from moot_testkit.towns.town import PROJECT, Member
from mootd.engine.exchange.plane_exchange import Outgoing
from mootd.engine.exchange.receive import release_parked
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored.log import LogReader
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out, is_atomic, once
from mootd.store.memory_store import CrashError, Faults

Keyed = tuple[Mutation[Any], str]
"""A request and its idempotency key, which may be empty."""


class World:
    """What all of a run's parts share: the record of what happened."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.knowledge = Knowledge()
        self.acknowledged: list[Acknowledged] = []
        self._trace = sha256()

    def note(self, *what: object) -> None:
        """Add to the trace."""
        self._trace.update(repr(what).encode())

    @property
    def trace(self) -> str:
        """A hash of all that was noted."""
        return self._trace.hexdigest()


class Node:
    """A member of the town.

    Args:
        index: its number.
        member: its machine.
        world: where what happens is recorded.
        town: the key of its town where this member holds it, else empty.
    """

    def __init__(self, index: int, member: Member, world: World, town: bytes) -> None:
        self.index = index
        self.member = member
        self.offset_ms = 0
        """How far its wall clock is off."""
        self.exchange = member.exchange()
        self.is_down = False
        self.restarts_at_once = False
        self._world = world
        self.town = town
        self._own = (member.id, town) if town else (member.id,)
        self._known: dict[bytes, int] = {}
        """The last number of each of its own feeds whose batch everybody may know."""
        self._unanswered: Keyed | None = None
        """A request that got no answer."""
        self._rebuild = Rebuild()
        self.learn_own()

    # -- Failing -------------------------------------------------------------------------------------------------
    def guarded(self, act: Callable[[], object]) -> bool:
        """Do something; whether it ended well. Crashes and full disks are part of the run."""
        try:
            act()
        except CrashError:
            self._world.counts["crashes"] += 1
            self._world.note("crash")
            self.is_down = True
            if self.restarts_at_once:
                self.restart()
            return False
        except RefusedError as error:
            if error.code is not Code.STORE_FULL:
                raise
            self._world.counts["full disks"] += 1
            self._world.note("full")
            return False
        return True

    def restart(self) -> None:
        """Begin anew with what the store has; every answered write must be there, or be reported as cut."""
        self._world.counts["restarts"] += 1
        self.member.restart(Faults())
        self.exchange = self.member.exchange()
        self._rebuild = Rebuild()
        self.is_down = False
        self.learn_own()
        reports = laws.cuts_of(self.member)
        with self.member.replica.read() as reader:
            log = LogReader(reader)
            for write in self._world.acknowledged:
                if write.member == self.index and not laws.is_reported(write, reports):
                    number = self.member.replica.feed_number(self.member.ledger.number, write.author) or 0
                    found = log.event_named(number, write.n, write.leaf[:8])
                    require(found is not None, "an acknowledged write survives a crash", write)

    # -- Work ----------------------------------------------------------------------------------------------------
    def commit(self, requests: list[Keyed]) -> None:
        """Carry out requests in one transaction, after the one that got no answer, if there is one."""
        if self._unanswered is not None:
            requests = [self._unanswered, *requests]
            self._world.counts["repeated requests"] += 1
        keyed = [each for each in requests if each[1]]
        # What would show if it were carried out twice goes first.
        keyed.sort(key=lambda each: not isinstance(each[0], Create | AddComment))
        self._unanswered = keyed[0] if keyed else None

        def work(unit: Unit) -> None:
            for request, key in requests:
                self._carry_out(unit, request, key)

        if self.work(work):
            self._unanswered = None

    def work(self, work: Callable[[Unit], object]) -> bool:
        """Do something in a transaction; whether it was answered, and all it wrote acknowledged by that."""
        first = self.member.replica.arrival
        done = self.guarded(lambda: self.member.commit(work))
        if done:
            self._acknowledge(first)
            self.learn_own()
        return done

    def import_lines(self, lines: tuple[bytes, ...]) -> None:
        """Import lines of a file; the same lines again must then change nothing."""

        def take(unit: Unit) -> dict[str, Any]:
            importer = Importer(unit, self.member.ledger.number, PROJECT, "importer")
            return importer.take(parse(lines, 1, FirstLines()))

        def take_twice(unit: Unit) -> None:
            try:
                with unit.savepoint():
                    take(unit)
                    again = unit.try_out(take)
            except MootError as error:
                if error.code in STORE_CODES:
                    raise
                self._world.counts["refused imports"] += 1  # as by a clock that stands far behind
                return
            changed = again["created"] or again["updated"]
            require(not changed, "importing the same lines twice adds nothing", again, lines)

        if self.work(take_twice):
            self._world.counts["imports"] += 1

    def _carry_out(self, unit: Unit, request: Mutation[Any], key: str) -> None:
        before = unit.arrival
        try:
            if is_atomic(request):
                with unit.savepoint():
                    once(unit, request, key, lambda unit: carry_out(unit, request))
            else:
                once(unit, request, key, lambda unit: carry_out(unit, request))
        except RefusedError as error:
            if error.code in STORE_CODES:
                raise
            require(unit.arrival == before, "a refused request writes nothing", request, error)
            self._world.counts["refused requests"] += 1
            self._world.note(error.code)
            return
        require(unit.arrival == before or not request.dry_run, "a dry run writes nothing", request)
        self._world.counts["requests"] += 1

    def _acknowledge(self, first: int) -> None:
        """Take down which writes of its own were answered; its transaction may have let others' parked batches in."""
        replica = self.member.replica
        with replica.read() as reader:
            log = LogReader(reader)
            for arrival in range(first, replica.arrival):
                stored = log.event(arrival)
                skeleton, event = stored.event.skeleton, stored.event
                keys = tuple(change.key for change in skeleton.changes if not change.removes)
                feed = replica.feeds[stored.feed]
                author = feed.author
                if author not in self._own or feed.plane != self.member.ledger.number:
                    continue  # what a replica writes beside it for itself alone, the model knows nothing of
                self._world.acknowledged.append(
                    Acknowledged(self.index, author, event.n, event.leaf, skeleton.kind, skeleton.entity, keys)
                )
                self._world.note(event.leaf)

    def learn_own(self) -> None:
        """Let everybody's knowledge have what this replica has just written."""
        for author in self._own:
            for batch in self.member.batches(author, after=self._known.get(author, 0)):
                self._world.knowledge.learn(batch)
                self._known[author] = max(self._known.get(author, 0), batch.header.last)

    def rebuild(self) -> None:
        """Go on with a rebuild, or begin one."""
        self.guarded(self._rebuild_step)

    def _rebuild_step(self) -> None:
        if self.member.commit(self._rebuild.step)["done"]:
            self._world.counts["rebuilds"] += 1
            self._rebuild = Rebuild()

    # -- Time and talk -------------------------------------------------------------------------------------------
    def set_clock(self, now_ms: int) -> int:
        """Set the wall clock, as far off as it is; what it shows."""
        wall = now_ms + self.offset_ms
        self.member.clock.set_wall(wall)
        return wall

    def release(self) -> None:
        """Let batches count whose time has come."""
        self.guarded(lambda: self.member.commit(release_parked))

    def start(self, peer: bytes) -> list[Outgoing]:
        """Begin a round with a peer; what is to be sent."""
        outgoing: list[Outgoing] = []
        self.guarded(lambda: outgoing.extend(self.exchange.start(peer)))
        return outgoing

    def take(self, peer: bytes, message: bytes) -> list[Outgoing]:
        """Take a message; what is to be sent back."""
        outgoing: list[Outgoing] = []
        self.guarded(lambda: outgoing.extend(self._take(peer, message)))
        return outgoing

    def _take(self, peer: bytes, message: bytes) -> list[Outgoing]:
        counts = self._world.counts
        try:
            taken = self.exchange.take(peer, message)
        except MalformedError as error:
            counts["malformed messages"] += 1
            self._world.note(error.code)
            return []
        counts.update(f"batches {outcome}" for outcome in taken.outcomes)
        counts["malformed batches"] += len(taken.malformed)
        self._world.note(taken.outcomes)
        return taken.outgoing
