"""The simulator can fail: each rule, broken on purpose, is caught within a stated number of seeds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import Erased, may_erase, names_in
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Change
from moot_protocol.merge import deletion
from moot_protocol.merge.digest import Digest
from moot_protocol.merge.kinds import ERASE, Role
from moot_protocol.trust import acceptance, branches, levels, towns
from moot_protocol.trust.acceptance import Accepted
from moot_protocol.trust.branches import Pin
from moot_protocol.trust.concern import Concern
from moot_protocol.trust.towns import Charter, Towns
from moot_testkit.sim import node as sim_node
from moot_testkit.sim import simulation
from moot_testkit.sim.plan import Plan
from mootd.engine import rebuild
from mootd.engine import unit as units
from mootd.engine.erasure import erasing
from mootd.engine.exchange import cut
from mootd.engine.exchange import receive as receiving
from mootd.engine.exchange.receive import Outcome, _Receiver
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.replica import Replica
from mootd.engine.stored import feeds, layout
from mootd.engine.stored.aside import Aside
from mootd.engine.stored.erased import erased_in
from mootd.engine.stored.log import FeedRow
from mootd.engine.unit import Unit
from mootd.engine.views import record, rows
from mootd.engine.views.cycles import Cutter
from mootd.engine.views.graph import Graph
from mootd.engine.views.record import Group, Merge, Record
from mootd.engine.views.rows import Row, RowMaker
from mootd.engine.views.writing import ViewWriter
from mootd.store.memory_store import CrashError, MemoryWrite
from mootd.store.port import Table


class Mutation(NamedTuple):
    """A rule broken on purpose."""

    name: str
    target: Any
    attribute: str
    broken: Any
    plan: Plan
    seeds: int
    """Within how many seeds of such a plan it is caught."""
    first: int = 0
    """The seed to begin with: one that notices it soon, where the first ones don't."""


WORK = Plan(members=3, hostiles=0, steps=90)
"""People work on three machines that lose no message for good."""
HOSTILE = Plan(members=2, hostiles=3, steps=110)
ENDS = HOSTILE._replace(ends=True)
TOWNS = Plan(members=3, hostiles=2, steps=110, towns=3)
BREAKS = Plan(members=2, hostiles=0, steps=100, jumps=True, breaks=True)
ERASES = Plan(members=3, hostiles=2, steps=110, ends=True, erases=True)
ERASES_ALONE = BREAKS._replace(erases=True)
ERASES_IN_TOWNS = TOWNS._replace(erases=True)


# -- Rules broken ------------------------------------------------------------------------------------------------
def _nothing(*arguments: Any, **options: Any) -> None:
    del arguments, options


def _false(*arguments: Any, **options: Any) -> bool:
    del arguments, options
    return False


def _true(*arguments: Any, **options: Any) -> bool:
    del arguments, options
    return True


def _zero(*arguments: Any) -> int:
    del arguments
    return 0


def _empty_map(*arguments: Any) -> dict[Any, Any]:
    del arguments
    return {}


def _empty(*arguments: Any) -> Sequence[Any]:
    del arguments
    return ()


_supersede = Merge._supersede
_apply = Merge.apply
_take = _Receiver.take
_settle_author = acceptance.settle_author
_pins_of = towns.pins_of
_resettle = receiving.resettle
_delete_many = MemoryWrite.delete_many
_follows = branches.follows
_row = RowMaker._row


def _without(found: Record, group: Group, key: str, merge: Merge) -> None:
    merge._remove_pair(group, key)
    found.groups = [each for each in found.groups if each.pairs]


def _whatever_its_leaf(self: Merge, found: Record, change: Change, feeds: list[int]) -> None:
    for author, n, leaf8 in change.over:
        group = next((each for each in found.groups if (each.feed, each.n) == (feeds[author], n)), None)
        if group is None:
            _supersede(self, found, replace(change, over=((author, n, leaf8),)), feeds)
        else:
            _without(found, group, change.key, self)


def _only_what_is_here(self: Merge, found: Record, change: Change, feeds: list[int]) -> None:
    _supersede(self, found, change, feeds)
    found.pending.clear()


def _remove_wins(self: Merge, found: Record, event: Any, *others: Any) -> None:
    _apply(self, found, event, *others)
    for change in event.skeleton.changes:
        if change.removes:
            for group in found.groups:
                _without(found, group, change.key, self)


def _in_any_time(batch: Batch, previous: Any) -> bool:
    return _follows(batch, previous._replace(hlc_last=0) if previous else None)


def _observe_first(self: _Receiver, batch: Batch) -> Outcome:
    self._unit.clock.last = max(self._unit.clock.last, batch.header.hlc_last)
    return _take(self, batch)


def _without_ends(found: Towns | None, feeds: Any, author: bytes) -> Accepted:
    return _settle_author(found._replace(ends={}) if found else None, feeds, author)


def _without_lists(found: Towns, feeds: Any, author: bytes, town: bytes, **options: Any) -> Sequence[Pin]:
    charters = {key: charter._replace(removers=()) for key, charter in found.charters.items()}
    return _pins_of(found._replace(charters=charters), feeds, author, town, **options)


def _peers_too(writer: Charter, depth: int) -> bool:
    return writer.is_admin and writer.standing.depth <= depth


def _only_its_own(unit: Unit, plane: int, author: bytes) -> None:
    with patch.object(Unit, "authors", lambda *_: [author]):
        _resettle(unit, plane, author)


def _only_towns(self: Concern, author: bytes, names: frozenset[bytes]) -> bool:
    del names
    return author in self.authors


def _as_admin(row: FeedRow) -> Role | None:
    return None if row.kind == "charter" else Role.ADMIN


@contextmanager
def _answer_first(self: Replica) -> Iterator[Unit]:
    with suppress(CrashError, RefusedError), self.store.write() as txn:
        unit = Unit(self, txn, self.wall.now_ms())
        unit.views.graph.release_due(unit.now_ms)
        yield unit
        unit.finish()
        self._committed(unit)


def _begin_anew(self: Unit, row: FeedRow) -> None:
    del row
    self.clock.last = 0


@contextmanager
def _no_savepoint(self: Unit) -> Iterator[None]:
    del self
    yield


def _do_again(unit: Unit, request: Any, key: str, work: Callable[[Unit], Any]) -> Any:
    del request, key
    return work(unit)


def _deleted_alone(self: RowMaker, *arguments: Any, in_conflict: bool) -> Row:
    made = _row(self, *arguments, in_conflict=in_conflict)
    return made if made.standing.flags else _row(self, *arguments, in_conflict=False)


def _leave_indexes(self: MemoryWrite, table: Table, keys: Iterable[bytes]) -> None:
    if table not in {Table.INDEX_0, Table.INDEX_1}:
        _delete_many(self, table, keys)


_named = erasing.named


def _writers_of_any_town(role: Role, town: bytes, of_town: bytes, *, is_for_admins: bool = False) -> bool:
    del town, of_town
    return role is not Role.READER and not is_for_admins


def _first_batch_too(unit: Unit, plane: int, row: FeedRow, come: Any) -> set[Erased]:
    names = _named(unit, plane, row, come)
    record = unit.record(plane, ERASE, key_text(row.author))
    for stored in unit.log.history(record.head if record and row.kind == "replica" else 0):
        by = unit.feed(stored.feed)
        if by.kind == row.kind and may_erase(Role(by.role), by.town, row.town):
            names |= names_in(stored.event.skeleton)
    return names


def _all_that_ever_was(unit: Unit, plane: int, row: FeedRow, come: Any) -> set[Erased]:
    return _named(unit, plane, row, come) | erased_in(unit.transaction, unit.feed_number(plane, row.author))


def _whole(reader: Any, number: int, batch: Batch) -> Batch:
    del reader, number
    return batch


def _forget_for_good(unit: Unit) -> None:
    for key, _ in list(unit.transaction.scan(Table.META, layout.ERASED, layout.after(layout.ERASED))):
        unit.transaction.delete(Table.META, key)


MUTATIONS = (
    Mutation("superseded writes stay live", Merge, "_supersede", _nothing, WORK, 5),
    Mutation("over counts whatever the leaf", Merge, "_supersede", _whatever_its_leaf, HOSTILE, 40),
    Mutation("over of what hasn't come is forgotten", Merge, "_supersede", _only_what_is_here, HOSTILE, 40, 6),
    Mutation("a removal wins over an addition beside it", Merge, "apply", _remove_wins, WORK, 40, 2),
    Mutation("what is superseded stays in the digest", Digest, "remove", _nothing, WORK, 5),
    Mutation("replicas write what only charters may", record, "_counts", _true, HOSTILE, 40),
    Mutation("writers write what only admins may", units, "role_of", _as_admin, HOSTILE, 40),
    Mutation("batches far ahead count at once", receiving, "is_ahead", _false, HOSTILE, 40, 3),
    Mutation("batches far ahead move the clock", _Receiver, "take", _observe_first, HOSTILE, 40, 2),
    Mutation("the clock begins anew with each batch", Unit, "_follow", _begin_anew, BREAKS, 40),
    Mutation("a feed may go back in time", feeds, "follows", _in_any_time, HOSTILE, 40),
    Mutation("forks are not noticed", _Receiver, "_note_fork", _nothing, HOSTILE, 40),
    Mutation("the proof of a fork isn't kept", Aside, "put_proof", _nothing, HOSTILE, 40),
    Mutation("every feed is plain", FeedRow, "is_plain", property(lambda self: self.kind == "replica"), HOSTILE, 40),
    Mutation("ends are not obeyed", receiving, "settle_author", _without_ends, ENDS, 40),
    Mutation("a removal spares whom it doesn't list", acceptance, "pins_of", _without_lists, TOWNS, 40),
    Mutation("a peer's removal voids an admission", levels, "is_above", _peers_too, TOWNS, 40),
    Mutation("a change of towns concerns towns only", Concern, "includes", _only_towns, TOWNS, 40),
    Mutation("a charter concerns nobody else", receiving, "resettle", _only_its_own, TOWNS, 40),
    Mutation("a cut doesn't make entities anew", ViewWriter, "replace", _nothing, ENDS, 40),
    Mutation("a cut isn't reported", cut, "_report", _nothing, ENDS, 40),
    Mutation("withheld values aren't asked for", StoredLog, "missing", _empty, HOSTILE, 40),
    Mutation("values that come late are dropped", receiving, "fill_values", _zero, HOSTILE, 40),
    Mutation("whatever a peer names is held", StoredLog, "holds", _true, WORK, 40),
    Mutation("answers come before the commit", Replica, "transaction", _answer_first, BREAKS, 40),
    Mutation("a repeated request is carried out again", sim_node, "once", _do_again, BREAKS, 40, 6),
    Mutation("a savepoint takes nothing back", Unit, "savepoint", _no_savepoint, WORK, 40),
    Mutation("an edit that a deletion didn't see isn't reported", deletion, "is_blind", _false, WORK, 40),
    Mutation("conflicts of deleted issues aren't listed", RowMaker, "_row", _deleted_alone, WORK, 40),
    Mutation("old index keys stay", MemoryWrite, "delete_many", _leave_indexes, WORK, 40),
    Mutation("blockedness is not propagated", Graph, "settle", _nothing, WORK, 40),
    Mutation("cycles of blockers hold everybody up", Cutter, "check", _nothing, WORK, 40, 3),
    Mutation("deferred issues don't become ready", Graph, "release_due", _nothing, WORK, 40),
    Mutation("what has the status deferred stays so", rows, "DEFERRED", "", WORK, 40),
    Mutation("who waits for children isn't told of them", Graph, "_recount_waiters", _nothing, WORK, 40, 20),
    Mutation("writers of any town erase", erasing, "may_erase", _writers_of_any_town, ERASES_IN_TOWNS, 40),
    Mutation("an erasure counts whatever the leaf", erasing, "_is_meant", _true, ERASES, 40),
    Mutation("a certificate's batch is erased", erasing, "named", _first_batch_too, ERASES, 40),
    Mutation("an erasure that was cut goes on counting", erasing, "named", _all_that_ever_was, ERASES, 40),
    Mutation("a cut of erasures changes nothing", cut, "ERASE", "nothing", ERASES, 40),
    Mutation(
        "whose a feed is changes nothing of what is erased", receiving, "ERASE", "nothing", ERASES_IN_TOWNS, 40, 50
    ),
    Mutation("what comes is kept though it was erased", receiving, "as_kept", _whole, ERASES, 40),
    Mutation("what is erased stays aside", erasing, "_strip_aside", _empty_map, ERASES, 40),
    Mutation("what is erased stays in the log", erasing, "_strip", _nothing, ERASES, 40),
    Mutation("what is erased is asked for", units, "lacks", _true, ERASES, 40),
    Mutation("what is not erased any more isn't asked for", erasing, "_mark", _nothing, ERASES, 40),
    Mutation("entities go on saying what is erased", erasing, "remake", _nothing, ERASES, 40, 10),
    Mutation("answers go on saying what is erased", erasing, "drop_copies", _nothing, ERASES, 40),
    Mutation("a rebuild broken off keeps what is erased", erasing, "_begin_rebuild_anew", _nothing, ERASES_ALONE, 40),
    Mutation("a rebuild forgets what is erased", rebuild, "_forget_erased", _forget_for_good, ERASES, 40),
)
"""Rules that the simulator's laws notice."""


def caught_at(mutation: Mutation) -> int | None:
    """The first seed that notices a mutation, or None."""
    with patch.object(mutation.target, mutation.attribute, mutation.broken):
        for seed in range(mutation.first, mutation.first + mutation.seeds):
            try:
                simulation.run(seed, mutation.plan)
            except (TypeError, AttributeError, NameError):
                raise  # the mutation fits the code no longer, and breaks nothing that it should
            except (Exception, CrashError):  # whatever breaks has noticed
                return seed
    return None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_caught(mutation: Mutation) -> None:
    seed = caught_at(mutation)
    assert seed is not None, f"{mutation.name}: not caught in {mutation.seeds} seeds from {mutation.first} on"
    print(f"{mutation.name}: caught in seed {seed}")
