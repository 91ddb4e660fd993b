"""Requests about claims beyond taking an issue, which `Update` does; and about handing one over."""

from typing import Any

import msgspec

from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.listing import Filter, IssueDoc


class ClaimReady(Mutation[IssueDoc | None], kw_only=True):
    """Take the first ready issue that nobody else holds, as one step; answers it, or None where there is none.

    Filter and sort are those of `Ready`. `ttl_ms` as in `Update`.
    """

    method = "claim_ready"
    filter: Filter = msgspec.field(default_factory=Filter)
    sort: str = "priority"
    include_deferred: bool = False
    include_ephemeral: bool = False
    ttl_ms: int = 0
    among: tuple[str, ...] | None = None
    """The only issues that it may take. The daemon says so for whoever may not see all; it alone changes no request
    that a key came with."""


class Unclaim(Mutation[IssueDoc], kw_only=True):
    """Give an issue back: no assignee, and open if it was in progress. Answers its document.

    With `if_holder` only where that one holds it, else `lost_race`. Held by nobody: no change, and the answer is
    `_unchanged`.
    """

    method = "unclaim"
    id: str
    if_holder: str = ""


class Heartbeat(Mutation[list[dict[str, Any]]], kw_only=True):
    """Renew the actor's claim of an issue, or every claim of theirs made on this machine that ends by itself.

    Writes at most one event per claim and half of its duration. Answers `{"id", "expires_at", "renewed"}` each, times
    in RFC 3339. For one issue: `lost_race` where somebody else holds it, `conflict` where it isn't in progress any
    longer, or the claim has no end and no `ttl_ms` gives it one.
    """

    method = "heartbeat"
    id: str = ""
    ttl_ms: int = 0
    """How long it is to hold from now on; 0: as long as before."""


class ClaimsTold(Mutation[dict[str, Any]], kw_only=True):
    """Note that the actor was told of claims that were lost. Changes this machine's notes only; answers `{}`."""

    method = "claims_told"
    ids: tuple[str, ...]


class ClaimPeers(Request[dict[str, Any]], kw_only=True):
    """What is known of the other machines' view of an issue's claim.

    Answers `{"holder", "peers": [{"replica", "heard_ms", "agrees"}]}`: machines heard of within the last three minutes.
    One `agrees` that last said to stand where this replica stands now: it holds the claim, and has told all it had.
    """

    method = "claim_peers"
    id: str


class WriteHandoff(Mutation[dict[str, Any]], kw_only=True):
    """Leave word for whoever goes on with an issue; answers it as `Handoffs` does.

    It becomes a comment that people can read, with the same as typed data beside its text.
    """

    method = "write_handoff"
    id: str
    decisions: tuple[str, ...] = ()
    dead_ends: tuple[str, ...] = ()
    next: str = ""
    head: str = ""
    """The commit that the work stands at."""


class Handoffs(Request[list[dict[str, Any]]], kw_only=True):
    """An issue's hand-offs, newest first, as data.

    Answers `{"issue_id", "id", "author", "created_at", "decisions", "dead_ends", "next", "head"}` each, empty ones left
    out.
    """

    method = "handoffs"
    id: str


CLAIM_REQUESTS: tuple[type[Request[Any]], ...] = (
    ClaimReady, Unclaim, Heartbeat, ClaimsTold, ClaimPeers, WriteHandoff, Handoffs,
)  # fmt: skip
"""All of this module."""
