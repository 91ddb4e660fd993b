"""Leases: claims that end by themselves unless their holder renews them.

Invariant: a lease changes nothing by itself. It is read beside the assignee and counts only for them, so an issue that
went to somebody else is held by that one, whatever leases of others are still live. No clock takes part in the merge:
who reads compares `until` with their own.

    lease    [holder, ttl, until]                 milliseconds; `until` since 1970, by the clock of who wrote it
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from moot_protocol.merge.register import Live
from moot_protocol.times import format_ms

LEASES: Final = "leases"
"""The set-like key they stand under."""
IN_PROGRESS: Final = "in_progress"
"""The only status in which a lease means something."""


class Lease(NamedTuple):
    """Until when a claim holds."""

    holder: str
    ttl_ms: int
    until_ms: int
    """Milliseconds since 1970."""

    def is_over(self, now_ms: int) -> bool:
        """Whether the claim has ended, by this clock."""
        return self.until_ms <= now_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether half of it is over: renewing it earlier would only fill the log.

        So is one that lasts far longer than it can: the clock was set back, and its holder would outlive it by as much.
        """
        half_ms = self.ttl_ms // 2
        return not half_ms < self.until_ms - now_ms <= self.ttl_ms + half_ms

    @property
    def document(self) -> dict[str, Any]:
        """As an issue's document tells it, under `_claim`."""
        return {"holder": self.holder, "expires_at": format_ms(self.until_ms), "ttl_seconds": self.ttl_ms // 1000}


def new_lease(holder: str, ttl_ms: int, now_ms: int) -> list[Any]:
    """The element for a lease that begins now."""
    return [holder, ttl_ms, now_ms + ttl_ms]


def lease_of(values: Iterable[Any], holder: str) -> Lease | None:
    """The holder's lease among the live values; of several the one that lasts longest. What is none is passed over."""
    return max((lease for lease in map(_lease, values) if lease and lease.holder == holder), key=_end, default=None)


def lease_held(live: Live, status: Any, assignee: Any) -> Lease | None:
    """The lease under which an issue is held, where its claim has an end.

    Args:
        live: what is live in the issue.
        status: the status that is shown.
        assignee: the assignee that is shown.
    """
    if status != IN_PROGRESS or not isinstance(assignee, str) or LEASES not in live:
        return None
    return lease_of((sibling.value for sibling in live[LEASES]), assignee)


def _lease(value: Any) -> Lease | None:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    holder, ttl_ms, until_ms = value
    if not isinstance(holder, str) or type(ttl_ms) is not int or type(until_ms) is not int:
        return None
    return Lease(holder, ttl_ms, until_ms) if holder and ttl_ms > 0 and until_ms >= 0 else None


def _end(lease: Lease) -> tuple[int, int]:
    return lease.until_ms, lease.ttl_ms
