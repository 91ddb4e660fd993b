"""Requests about who may do what on this machine; as `requests.py`. Rules stand in `access.toml`, not in the log."""

from typing import Any

from moot_protocol.request_base import Mutation, Request


class ShowAccess(Request[dict[str, Any]], kw_only=True):
    """The rules as they stand, read anew.

    Answer: `{"path", "present", "audit", "problem", "idle": [{"user", "rule"}], "users": [{"name", "role",
    "permissions", "restrictions", "uids"}]}`. `problem` says why the file gives no rules, and nobody but the daemon's
    own user gets in, or is empty; `idle` are permissions that fit nothing; `permissions` is None where the role alone
    says what is allowed.
    """

    method = "show_access"


class CheckAccess(Request[dict[str, Any]], kw_only=True):
    """What the rules decide, without anything being done.

    Answer: `{"allowed", "rule", "bound"}`; `bound` is whether there are rules at all. Raises `invalid` where
    the rules can't be read or there is no such permission.
    """

    method = "check_access"
    subject: str
    permission: str
    resource: str = ""


class ImportAccess(Mutation[dict[str, Any]], kw_only=True):
    """Write `access.toml` anew from the text of another file.

    Answer: `{"path", "users", "replaced", "text", "idle"}`; `text` is what is written. Raises `invalid`, with the
    line, where the text gives no rules; `exists` where there are rules and `replace` isn't given.
    """

    method = "import_access"
    text: str
    form: str = "yaml"
    """`yaml` or `toml`."""
    replace: bool = False


class ValidateAccess(Request[dict[str, Any]], kw_only=True):
    """Whether a text gives rules.

    Answer: `{"valid", "problem", "users", "idle"}`.
    """

    method = "validate_access"
    text: str
    form: str = "toml"


ACCESS_REQUESTS: tuple[type[Request[Any]], ...] = (ShowAccess, CheckAccess, ImportAccess, ValidateAccess)
"""All of this module."""
