"""What doesn't count any more, told to people: events that were accepted here once and are not now.

Where a pin falls inside a batch, what the rest of the batch is about is named too: it was made anew as well.

Invariant: what is told follows from reports of cuts and from where feeds stand now. So it goes away by itself once what
lapsed counts again, or all of it was written anew by another key (`moot salvage`), and nothing has to be confirmed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from moot_protocol.merge.kinds import (
    ADMIN_KINDS,
    CERTIFICATE,
    CHARTER,
    CHARTER_KINDS,
    GENESIS,
    ISSUE,
    OWN_CHARTER_KINDS,
    REPLICA,
    Role,
)
from moot_protocol.trust.acceptance import Reason
from mootd.engine.exchange.cut import CutReport, cut_reports
from mootd.engine.replica import Replica
from mootd.engine.stored.log import FeedRow
from mootd.store.port import Reader

NAMED: Final = 5
"""Entities that an alarm names."""
_ONLY_ADMINS: Final = (ADMIN_KINDS | CHARTER_KINDS) - OWN_CHARTER_KINDS
_OF_ITSELF: Final = frozenset({CERTIFICATE, CHARTER, GENESIS, REPLICA})
"""What an author says of itself alone, by itself and under each new key again: how it came, and what it runs."""
_OF_INVITES: Final = frozenset({Reason.INVITE_CLOSED, Reason.NO_INVITE})
_ROLE: Final = "role"
_WORDS: Final[Mapping[str, str]] = {
    Reason.ENDED: "they were ended, or their town removed",
    Reason.OTHER_TOWN: "their town has no part in the plane, for nobody who may lets it in",
    Reason.NO_CERTIFICATE: "their town has no part in the plane, for nobody who may lets it in",
    Reason.INVITE_CLOSED: "the invite they came with was closed without them",
    Reason.NO_INVITE: "the invite they came with counts no more",
    Reason.FORKED: "their authors signed two histories",
    Reason.READER: "their role may not write",
    _ROLE: "only admins may write what they say",
}
_HINTS: Final[Mapping[str, str]] = {
    Reason.ENDED: "`moot salvage` on the machines that wrote it writes it again under new keys, if they are let in "
    "and have it still; add `--both` where an old copy of a machine's data was put back",
    Reason.FORKED: "it counts again if it is in the history that is chosen (`moot fork settle`), or written anew",
}
_HINTS_OF_INVITES: Final = (
    "`moot salvage` on the machines that wrote it writes it again, once they have joined with a new ticket "
    "(`moot invite`, `moot join`)"
)
_HINT: Final = (
    "nothing is lost: it counts again if an admin above lets their town in, and `moot salvage` writes it anew once it "
    "has joined under a new key (`moot town rotate-key`, `moot join`); `moot town list` shows who is in"
)


class _Lapse(NamedTuple):
    """What of one feed doesn't count any more."""

    plane: int
    reason: str
    size: int
    """Events; of what a role doesn't allow the entities that it is about."""
    entities: tuple[tuple[str, str], ...]


def lapse_alarms(replica: Replica, reader: Reader) -> Iterator[dict[str, Any]]:
    """An alarm for each plane and reason for which something doesn't count any more."""
    found: dict[tuple[int, str], list[_Lapse]] = {}
    for lapse in _lapses(replica, reader):
        found.setdefault((lapse.plane, lapse.reason), []).append(lapse)
    for (plane, reason), lapses in sorted(found.items()):
        if all(kind in _OF_ITSELF for each in lapses for kind, _ in each.entities):
            continue  # nobody has written anything: nothing is missing, and there is nothing to write again
        count = sum(each.size for each in lapses)
        what = _several(count, "item" if reason == _ROLE else "event")
        told = f"{what} of {_several(len(lapses), 'feed')} on plane {replica.planes[plane].name}"
        why = _WORDS.get(reason, reason.replace("_", " "))
        yield {
            "code": "lapsed",
            "severity": "warning",
            "message": f"{told} counted here once and {'does' if count == 1 else 'do'} not now: {why}{_named(lapses)}",
            "hint": _HINTS_OF_INVITES if reason in _OF_INVITES else _HINTS.get(reason, _HINT),
        }


def _named(lapses: Iterable[_Lapse]) -> str:
    """What lapses touched, some of it by name: not what authors say of themselves, whose names are keys."""
    places = dict.fromkeys(place for each in lapses for place in each.entities if place[0] not in _OF_ITSELF)
    names = [name if kind == ISSUE else f"{kind} {name}" for kind, name in places]
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"; touched: {', '.join(names[:NAMED])}{rest}" if names else ""


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _lapses(replica: Replica, reader: Reader) -> Iterator[_Lapse]:
    """What of each feed that was ever cut doesn't count now."""
    by_feed: dict[tuple[int, bytes], list[CutReport]] = {}
    for report in cut_reports(reader):
        by_feed.setdefault((report.plane, report.author), []).append(report)
    for place, reports in by_feed.items():
        number = replica.feed_numbers.get(place, 0)
        row = replica.feeds.get(number)
        if row is not None and row.plane in replica.planes and not _is_own_opening(replica, row, reports):
            yield from _lapses_of(row, reports, partial(replica.restored.is_whole, reader, number))


def _is_own_opening(replica: Replica, row: FeedRow, reports: list[CutReport]) -> bool:
    """Whether all that lapsed is how a key of this machine's own town came: what it lacks is told apart from this."""
    return row.author in replica.own_towns() and row.n == 0 and max(report.last for report in reports) == 1


def _lapses_of(row: FeedRow, reports: list[CutReport], is_restored: Callable[[int], bool]) -> Iterator[_Lapse]:
    # Where a fork is settled another history may count up to the same number.
    counted = min(row.n, row.forked_at - 1) if row.forked_at else row.n
    gone = [report for report in reports if report.last > counted]
    last = max((report.last for report in gone), default=0)
    # Nobody writes a charter anew: another's words are that one's alone.
    if gone and (row.kind == CHARTER or not is_restored(last)):
        yield _Lapse(row.plane, row.reason, last - counted, _touched(gone))
    unsaid = [
        report for report in reports if report.last <= row.n and {kind for kind, _ in report.entities} <= _ONLY_ADMINS
    ]
    if unsaid and row.role != Role.ADMIN:
        yield _Lapse(row.plane, _ROLE, len(_touched(unsaid)), _touched(unsaid))


def _touched(reports: list[CutReport]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((kind, name) for report in reports for kind, name in report.entities))
