"""Requests about what towns share: how it stands, what would leave, what has come; as `issues.py` for the rest.

Without a plane they are about the federation planes and the ledgers that another town is on too.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


class FederationStatus(Request[list[dict[str, Any]]], kw_only=True):
    """How each shared plane stands.

    Answer: `[{"plane", "kind", "state", "towns": [{"town", "name", "town_name", "role", "state", "is_own", "replicas",
    "last_seen_ms"}], "remotes": [{"remote", "mode", "ahead"}], "members", "in_step", "conflicts": [id],
    "not_adopted": [id], "messages"}]`. `ahead`: events here that the remote isn't known to carry; `in_step`: how many
    of the `members` (machines heard of within a month) last said to hold what is held here; `not_adopted`: documents of
    other towns that nobody here has accepted; `messages`: how many there are from other towns.
    """

    method = "federation_status"
    plane: str = ""


class FederationReview(Request[list[dict[str, Any]]], kw_only=True):
    """What would leave with the next exchange, by what it is about.

    Answer: `[{"plane", "remote", "mode", "events", "entities": [{"kind", "entity", "actors", "events", "changes":
    [{"field", "value"}]}]}]`, one for each remote that lacks something; of many events the first `limit` are told.
    """

    method = "federation_review"
    plane: str = ""
    limit: int = 1000


class FederationNews(Request[list[dict[str, Any]]], kw_only=True):
    """What has come from other towns since an event's arrival.

    Answer: `[{"plane", "town", "town_name", "replica", "events", "entities": [{"kind", "entity", "events"}]}]`.
    """

    method = "federation_news"
    since: int
    """As `events` answers `next`."""
    plane: str = ""


class IsolatePlane(Mutation[dict[str, Any]], kw_only=True):
    """Let this machine exchange a plane with the named remotes only: no other, whatever is added later.

    Answer: `{"plane", "is_isolated", "remotes": [name], "withdrawn": int}`; `withdrawn`: frames taken out of the queues
    of other remotes. Raises `not_found`; `invalid` for an operational plane.
    """

    method = "isolate_plane"
    plane: str
    to: tuple[str, ...] = ()
    """Names of remotes; none: it isn't exchanged at all."""
    off: bool = False
    """End it: remotes have the modes again that were set for them before."""


FEDERATION_REQUESTS: tuple[type[Request[Any]], ...] = (FederationStatus, FederationReview, FederationNews, IsolatePlane)
