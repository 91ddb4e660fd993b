"""Requests that open and close a workspace's spool, through which sandboxed clients write; as `issues.py`."""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


class OpenSpool(Mutation[dict[str, Any]], kw_only=True):
    """Let commands for a workspace's project come through files in its folder; harmless when it is so already.

    Answers `{"project", "folder": the spool's folder, "created": bool}`. Raises `not_found` where the workspace isn't
    known or its folder isn't found, `denied` where the folder lies open to others or is no folder of this user's.
    """

    method = "open_spool"
    workspace: str
    folder: str
    """Where the client works: the workspace's folder is looked for from there upward."""


class CloseSpool(Mutation[dict[str, Any]], kw_only=True):
    """Take no more commands from a workspace's folder; what its token was good for is over for good.

    Answers `{"project", "folder", "closed": bool}`.
    """

    method = "close_spool"
    workspace: str


SPOOL_REQUESTS: tuple[type[Request[Any]], ...] = (OpenSpool, CloseSpool)
"""All of this module."""
