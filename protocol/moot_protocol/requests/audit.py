"""Requests about the audit stream: what was decided and administered on this machine; as `issues.py`.

A record is `{"id", "n", "timestamp", "event_type", "actor", "action", "resource", "result", "details"}`: `timestamp`
in milliseconds since 1970, `action` a request's method, `result` `allowed`, `denied` or `done`, `details` a dict.
Records are events of the operational plane and never leave the machine.
"""

from typing import Any

from moot_protocol.requests.base import Request


class ListAudit(Request[dict[str, Any]], kw_only=True):
    """Records, the newest first.

    Answer: `{"records", "truncated"}`.
    """

    method = "list_audit"
    by: str = ""
    """Of this actor, or of those who work for them."""
    since_ms: int = 0
    event_type: str = ""
    limit: int = 50
    """0 for all that one answer holds."""


class ExportAudit(Request[dict[str, Any]], kw_only=True):
    """Records in the order in which they were signed, page by page.

    Answer: `{"records", "cursor", "head", "n"}`; `cursor` is empty with the last page, which names in `head` (hex)
    and `n` the batch that the stream ends with.
    """

    method = "export_audit"
    cursor: str = ""


class VerifyAudit(Request[dict[str, Any]], kw_only=True):
    """Recompute the chain of signed batches that the records stand in, stretch by stretch.

    Answer: `{"done", "cursor", "progress": [checked, of], "problems": [{"where", "problem"}], "records", "head", "n",
    "head_found"}`; counts are of all so far; `head_found` is whether a batch was called what `head` says.
    """

    method = "verify_audit"
    cursor: str = ""
    head: str = ""
    """Hex of a head that an earlier export named, or empty."""


AUDIT_REQUESTS: tuple[type[Request[Any]], ...] = (ListAudit, ExportAudit, VerifyAudit)
"""All of this module."""
