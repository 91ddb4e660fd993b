"""Import, ingest, changes at scale: the engine on LMDB, in this process."""

import gc
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from measure import Row, median_seconds, micro, seconds
from world import PROJECT, Peer, TimedStore, floor_append, issue_lines, replica, scratch

from moot.console.commands.log.importing import LINES_AT_ONCE
from moot_protocol import crypto
from moot_protocol.log.batch import encode_batch
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddEdge, Close, Edge, Reopen
from mootd.app import COLLECT_AFTER
from mootd.engine.exchange.plane_exchange import take_in
from mootd.engine.exchange.receive import receive
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.replica import Replica
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.exchange.ref_exchange import MESSAGE_BYTES
from mootd.service.writing.writes import carry_out
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table

R = TypeVar("R")


def import_lines(target: Replica, lines: list[bytes]) -> None:
    """Import as the daemon does it: a request's lines a transaction."""
    for start in range(0, len(lines), LINES_AT_ONCE):
        parsed = parse(lines[start : start + LINES_AT_ONCE], start + 1, FirstLines())
        with target.transaction() as unit:
            Importer(unit, target.ledger.number, PROJECT, "bench").take(parsed)


def collect() -> None:
    """Collect garbage as the daemon does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def bench_import(count: int) -> list[Row]:
    lines = issue_lines(count)
    collect()
    with scratch() as path:
        target = replica(LmdbStore.open(path / "log"))
        taken = seconds(lambda: import_lines(target, lines))
        with target.read() as reader:
            sizes = [len(value) for _, value in reader.scan(Table.EVENTS, b"")]
        target.store.close()
    commits = max(1, len(sizes) * LINES_AT_ONCE // count)
    floor = median_seconds(lambda: floor_append(sizes, commits), 3)
    shown = f"{taken / count * 1e6:,.1f} µs an issue"
    return [
        Row(f"import of {count:,} issues, issues a second", shown, "", count / taken, 20_000, "/s", at_least=True),
        Row(
            "  against packing, hashing, appending the same",
            shown,
            f"{floor / count * 1e6:,.2f} µs",
            taken / floor,
            8,
            "×",
        ),
    ]


def bench_ingest(count: int) -> list[Row]:
    with scratch() as path:
        home = replica(LmdbStore.open(path / "log"))
        peer = Peer(home)
        with home.transaction() as unit:
            receive(unit, peer.opening)
        batches, dots = peer.creates(count)
        updates = peer.updates(dots)
        one = batches[0]
        message = crypto.BATCH_DOMAIN + one.header_bytes
        verify = (
            median_seconds(lambda: [crypto.is_signed(one.header.author, one.signature, message) for _ in range(500)])
            / 500
        )
        rows = []
        for name, sent, aim in (("creates", batches, 3.0), ("single-key updates", updates, 2.5)):
            raw = [encode_batch(batch.header_bytes, batch.signature, batch.events) for batch in sent]
            collect()
            taken = seconds(partial(ingest, home, raw)) / count
            row = Row(
                f"verified ingest of {count:,} events, {name}", micro(taken), f"{micro(verify)} a verify",
                verify / taken, aim, "×", at_least=True,
            )  # fmt: skip
            rows.append(row)
        home.store.close()
    return rows


def ingest(home: Replica, raw: list[bytes]) -> None:
    """Verify, decode and accept, as the exchange does with what comes while nobody else writes."""

    def commit(work: Callable[[Unit], R], /) -> R:
        with home.transaction() as unit:
            return work(unit)

    plane, message, size = SharedPlane(home.ledger), list[bytes](), 0
    for batch in raw:
        message.append(batch)
        size += len(batch)
        if size >= MESSAGE_BYTES or batch is raw[-1]:
            take_in(commit, plane, message)
            message, size = [], 0


def beside_commit(store: TimedStore, changes: list[Callable[[], object]]) -> tuple[float, float]:
    """(median seconds of changes beside their own commits, median seconds of these)."""
    before = len(store.commits)
    times = [seconds(change) for change in changes]
    commits = store.commits[before:]
    beside = [taken - commit for taken, commit in zip(times, commits, strict=True)]
    return statistics.median(beside), statistics.median(commits)


def bench_changes(home: Replica, store: TimedStore, count: int) -> list[Row]:
    """Single changes, and one that touches ten thousand others, in a store of this many issues."""
    names = [f"{PROJECT}-{number:07}" for number in range(1000, count, max(1, count // 200))][:100]
    changes: list[Callable[[], object]] = []
    for name in names:
        changes.append(partial(_carry, home, Close(actor="bench", id=name, force=True)))
        changes.append(partial(_carry, home, Reopen(actor="bench", id=name)))
    change, commit = beside_commit(store, changes)
    what = f"a status change at {count:,} issues, beside its commit"
    rows = [Row(what, micro(change), f"commit {micro(commit)}", change * 1e3, 1, "ms")]
    hub = f"{PROJECT}-{count - 1:07}"
    fan = min(10_000, count // 4)
    _carry(home, Reopen(actor="bench", id=hub))
    with home.transaction() as unit:
        for number in range(fan):
            edge = AddEdge(actor="bench", id=f"{PROJECT}-{number:07}", edge=Edge(to=hub), check_cycles=False)
            carry_out(unit, edge)
    close, reopen = Close(actor="bench", id=hub, force=True), Reopen(actor="bench", id=hub)
    closing, commit = beside_commit(store, [partial(_carry, home, each) for each in (close, reopen) * 3])
    each, written = closing / fan, f"commit {micro(commit / fan)}"
    what = f"closing or reopening what blocks {fan:,} others, an issue"
    rows.append(Row(what, micro(each), written, each * 1e6, 10, "µs"))
    return rows


def _carry(home: Replica, request: Mutation[Any]) -> None:
    with home.transaction() as unit:
        carry_out(unit, request)
