"""Requests about leases, and about taking over what a dead machine held; as `issues.py`.

A lease is `{"name", "epoch", "holder", "is_here", "actor", "since_ms", "until_ms", "state", "fenced"}`: `holder` is a
replica's key; `state` is `held`, `ending` (within the margin of its end), `free`, or `released`; `fenced` is the epoch
that this machine held it under and lost it, else 0. Leases are this machine's town's, on its ledger.
"""

from typing import Any

from moot_protocol.limits import LEASE_MS
from moot_protocol.requests.base import Mutation, Request


class Leases(Request[list[dict[str, Any]]], kw_only=True):
    """Every lease of the town, by name."""

    method = "leases"


class AcquireLease(Mutation[dict[str, Any]], kw_only=True):
    """Take a lease for this machine, or prolong it where this machine holds it.

    Answer: the lease. Raises `conflict` where another machine holds it.
    """

    method = "acquire_lease"
    name: str
    ttl_ms: int = LEASE_MS


class RenewLease(Mutation[dict[str, Any]], kw_only=True):
    """Prolong a lease that this machine holds under an epoch.

    Answer: the lease. Raises `lost_race` where another holds it by now, or it has run out.
    """

    method = "renew_lease"
    name: str
    epoch: int
    ttl_ms: int = LEASE_MS


class ReleaseLease(Mutation[dict[str, Any]], kw_only=True):
    """Give a lease back, so that others needn't wait. Harmless where another holds it by now.

    Answer: the lease.
    """

    method = "release_lease"
    name: str
    epoch: int


class PromoteTown(Mutation[dict[str, Any]], kw_only=True):
    """Take every lease of the town for this machine, under the next epochs; `force` also those that others hold.

    Answer: `{"moved": [lease], "kept": [lease], "held": [lease]}`: taken now, held here before, left to others.
    """

    method = "promote_town"
    force: bool = False
    ttl_ms: int = LEASE_MS


class Rebalance(Mutation[dict[str, Any]], kw_only=True):
    """Take the open issues from whoever claimed them on a machine, or on the machines of a town, all or none.

    Answer: `{"replicas": [key], "issues": [{"id", "title", "status", "was", "now"}]}`. Raises `not_found`,
    `ambiguous`; `conflict` for this machine itself.
    """

    method = "rebalance"
    source: str
    """A replica's key, a town's name or key, or the beginning of a key."""
    to: str = ""
    """Who gets them; nobody, if empty."""


LEASE_REQUESTS: tuple[type[Request[Any]], ...] = (
    Leases, AcquireLease, RenewLease, ReleaseLease, PromoteTown, Rebalance,
)  # fmt: skip
"""All of this module."""
