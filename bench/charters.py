"""Evaluating charters, in process CPU time: all of them from nothing, and one more batch on a replica.

A plane of 50 towns in three depths, by admission and by invite, with invites, closes, ends and admissions: 10,000
events in all, decoded. What a replica does for the next batch of a member is the same however many there are.
"""

import gc
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from engine import collect
from measure import Row, micro

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.log.event import Draft
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import Admission, End, Invite, admission_draft, close_draft, end_draft, invite_draft
from moot_protocol.trust.levels import Readings, read_towns
from moot_testkit.bytes.feeds import FeedWriter, Town, note, seed, signer
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import settle
from moot_testkit.towns.engine import Desk
from mootd.engine.exchange.receive import receive, resettle

TOWNS = 50
EVENTS = 10_000
PIECES, BATCHES_A_PIECE = 15, 20


def cpu_seconds(work: Callable[[], object], runs: int = 5) -> float:
    """The median of the process's CPU time."""
    taken = []
    for _ in range(runs):
        gc.collect()
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def plane_of(events: int) -> tuple[Town, list[Batch], list[FeedWriter]]:
    """A founder, all charters' batches, and a replica of each town."""
    founder = Town()
    key = founder.invite("towns", town=ZEROS)
    towns: list[Town] = [founder]
    for at in range(1, TOWNS):
        if at % 5 == 0:
            towns.append(founder.guest(f"town {at}", key))
        else:
            guest = founder.guest(f"town {at}")
            towns[0 if at % 3 else 1].admit(guest, Role.ADMIN)
            towns.append(guest)
    replicas = [town.replica("one", Role.WRITER, note()) for town in towns]
    each = events // TOWNS
    for at, town in enumerate(towns):
        while town.charter.n < each:
            town.charter.write(*(_said(town, at, town.charter.n + step) for step in range(50)))
    return founder, [batch for town in towns for batch in town.charter.batches], replicas


def _said(town: Town, at: int, number: int) -> Draft:
    """What charters are full of: machines that come and go, and other towns."""
    name = f"{at} {number}"
    match number % 4:
        case 0:
            return invite_draft(seed(f"invite {name}"), Invite(Role.WRITER, town.key.public, 0, bytes(32)), "admin")
        case 1:
            return close_draft(seed(f"invite {at} {number - 1}"), [seed(f"machine {name}")], "admin")
        case 2:
            return end_draft(seed(f"machine {name}"), End(5, seed(f"batch {name}"), town.key.public), "admin")
    return admission_draft(signer(f"somebody {name}").public, Admission("somebody", Role.READER), "admin")


def bench_charters() -> list[Row]:
    founder, batches, replicas = plane_of(EVENTS)
    feeds = [batch for replica in replicas for batch in replica.batches]
    held = HeldBatches(founder.plane, [*batches, *feeds])
    settle(founder.plane, held)  # derive links, verify signatures once
    count = sum(batch.header.count for batch in batches)
    events = [event for batch in batches for event in batch.events]
    collect()
    floor = cpu_seconds(lambda: [event.values() for event in events])
    whole = cpu_seconds(lambda: read_towns(founder.plane, held))
    known = Readings()
    read_towns(founder.plane, held, known)
    again = cpu_seconds(lambda: read_towns(founder.plane, held, known))
    what = f"evaluating {count:,} events of {TOWNS} charters, from nothing"
    return [
        Row(what, micro(whole), f"{micro(floor)} to decode", whole * 1e3, 50, "ms"),
        Row("  as a replica does, which read them before", micro(again), "", again * 1e3, 50, "ms"),
        *_received(founder, batches, replicas),
    ]


def _received(founder: Town, batches: list[Batch], replicas: list[FeedWriter]) -> list[Row]:
    """A member's next batches on two replicas, in turns: the machine's speed changes from moment to moment."""
    pieces = [_pieces(founder, some, replicas) for some in (batches[: len(batches) // 10], batches)]
    pairs = list(zip(*pieces, strict=True))
    few, many = (statistics.median(taken) for taken in zip(*pairs, strict=True))
    growth = statistics.median(many / few for few, many in pairs)
    return [
        Row("accepting a member's next batch, 10 times the charters", micro(many), micro(few), growth, 1.5, "×"),
        _next_of_charter(founder, batches),
    ]


def _pieces(founder: Town, charters: list[Batch], replicas: list[FeedWriter]) -> Iterator[float]:
    """Seconds that a next batch of the founder's replica takes, of a few at a time."""
    desk = Desk().watch(founder)
    first = replicas[0].fork("bench", 1)
    desk.receive([*charters, first.batches[0]])
    sent = [first.write(note(f"{step}")) for step in range(PIECES * BATCHES_A_PIECE)]
    with desk.replica.transaction() as unit:
        for start in range(0, len(sent), BATCHES_A_PIECE):
            piece = sent[start : start + BATCHES_A_PIECE]
            yield cpu_seconds(partial(deque, (receive(unit, batch) for batch in piece), 0), 1) / len(piece)


def _next_of_charter(founder: Town, charters: list[Batch]) -> Row:
    """A charter's next batch, which makes acceptance look at everybody."""
    desk = Desk().watch(founder)
    desk.receive(charters)
    charter = founder.charter.fork("bench")
    sent = [charter.write(_said(founder, 0, step)) for step in range(10_000_000, 10_000_020)]
    with desk.replica.transaction() as unit:
        taken = cpu_seconds(lambda: [receive(unit, batch) for batch in sent], 1) / len(sent)
        resettle(unit, desk.replica.ledger.number, founder.key.public)
    return Row("accepting a charter's next batch among those", micro(taken), "", taken * 1e3, 50, "ms")
