"""Requests about linked copies of issues on shared planes; as `issues.py` for the rest.

A share is named by its id, or by what it shares (an issue's id, a label, a project) and where to. What is told of one:
`{"share", "what", "value", "project", "from", "to", "prefix", "fields", "rule", "follower", "is_here", "ended",
"copies": [{"source", "copy", "state", "suggestions": [{"field", "here", "there", "actor", "_origin"}]}],
"uncopied": [{"source", "why"}]}`; `what` is `issue`, `label` or `project`; `is_here`: this machine follows the source;
`state` is `in_step`, `behind` (to follow) or `differs`: another town has changed the copy, as its suggestions say, and
nothing of that is written back. `uncopied` are issues that can't be copied as they stand, as the machine that follows
has found: nothing of them goes, and a copy made before stays as it was.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


class _Meant(Mutation[dict[str, Any]], kw_only=True):
    """What is meant: an issue, a label (of one project, if that is named too) or a project; and the plane."""

    id: str = ""
    label: str = ""
    project: str = ""
    to: str = ""


class Share(_Meant, kw_only=True):
    """Copy an issue, or all with a label or of a project, onto another plane; this machine lets the copies follow.

    Answer: the share; issues with a label or of a project that can't be copied stand in its `uncopied`. Raises
    `not_found`; `exists`: it is shared there already; `invalid`: a rule that is none, a copy, or the plane that it
    stands on; `limit`: also an issue that can't be copied; `denied`: this machine may not write there.
    """

    method = "share"
    fields: tuple[str, ...] = ()
    redact: str = ""
    """As `redaction.py` says."""
    prefix: str = ""
    """Of the copies' ids; empty: the plane's only project, or `shared`."""


class Unshare(_Meant, kw_only=True):
    """Withdraw the copies and follow no more. Answer: the share, and `withdrawn`: how many copies. Or `not_found`."""

    method = "unshare"


class FollowShare(Mutation[dict[str, Any]], kw_only=True):
    """Let this machine follow from now on, where another one did. Answer: the share. Raises `not_found`."""

    method = "follow_share"
    share: str


class Shares(Request[list[dict[str, Any]]], kw_only=True):
    """All shares of this town that haven't ended, with how their copies stand."""

    method = "shares"
    id: str = ""
    """Only those with a copy of this issue, or that can't copy it."""


SHARE_REQUESTS: tuple[type[Request[Any]], ...] = (Share, Unshare, FollowShare, Shares)
