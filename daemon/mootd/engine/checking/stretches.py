"""Checking a whole store, a stretch at a time: what `fsck` asks for, and what the scrub does in its own time.

Invariant: both look for the same, so that whatever one of them finds the other finds too. Each stretch is checked in
one snapshot, which says all that it is compared with; only digests, which are sums over many stretches, are compared
with what was kept when their part began (`digest_check.py`).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from moot_protocol.errors import RefusedError
from mootd.engine.checking.fsck import Checker, Problem, Stretch
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, damaged, decode_feed
from mootd.engine.views.entities import Entities
from mootd.store.port import Reader, Table

_LOG: Final = "log:"


class Checked(NamedTuple):
    """What was found in a stretch."""

    done: bool
    """Whether it was the last."""
    cursor: str
    """Where to go on."""
    checked: int
    """Rows checked so far; records twice, since each also counts in its plane's digest."""
    total: int
    """Rows in all, as far as that is known."""
    events: int
    """Events checked so far."""
    problems: list[Problem]
    """Of this stretch."""


class _Phase(NamedTuple):
    """A part of a check."""

    check: Callable[[Checker, bytes], Stretch] | None
    """What checks a stretch of it; None for the log, whose events are counted too."""
    next: str
    """The part that follows, or empty."""


_PHASES: Final = {
    _LOG: _Phase(None, "aside:"),
    "aside:": _Phase(Checker.check_aside, "views:"),
    "views:": _Phase(Checker.check_records, "index:"),
    "index:": _Phase(Checker.check_index, "digests:"),
    "digests:": _Phase(Checker.check_digests, ""),
}


def check_stretch(replica: Replica, reader: Reader, cursor: str) -> Checked:
    """Check the next stretch.

    Args:
        replica: the replica.
        reader: a snapshot of its store.
        cursor: where the stretch before ended; empty to begin.

    Raises:
        RefusedError: `invalid`: that is no cursor.
        MootError: `store_damaged`: the damage is of a sort that the check can't go on behind.
    """
    try:
        name, done, events, key = cursor.split(" ") if cursor else [_LOG, "0", "0", ""]
        checked, seen, after = int(done), int(events), bytes.fromhex(key)
        phase = _PHASES[name]
    except (ValueError, KeyError) as error:
        raise RefusedError("this is no cursor of a check", hint="begin without one") from error
    feeds = _feeds(reader)
    entities = Entities(reader, replica.views_of(reader), lambda feed: feeds[feed].author, replica.feed_number)
    checker = Checker(entities, feeds)
    problems: list[Problem]
    if phase.check is None:
        after, count, more, problems = checker.check_batches(after)
        seen += more
        if not after:
            problems += [problem for number in feeds for problem in checker.check_head(number)]
    else:
        after, count, problems = phase.check(checker, after)
    checked += count
    tables = (Table.BATCHES, Table.ASIDE, entities.views.records, entities.views.index, entities.views.records)
    return Checked(
        done=not (after or phase.next),
        cursor=f"{name if after else phase.next} {checked} {seen} {after.hex()}",
        checked=checked,
        total=max(sum(map(reader.count, tables)), checked),
        events=seen,
        problems=problems,
    )


def _feeds(reader: Reader) -> dict[int, FeedRow]:
    rows = reader.scan(Table.META, layout.FEEDS, layout.after(layout.FEEDS))
    try:
        return {int.from_bytes(key[len(layout.FEEDS) :], "big"): decode_feed(value) for key, value in rows}
    except msgspec.DecodeError as error:
        raise damaged("a feed's row can't be read") from error
