"""Requests about who may do what on this machine; as `issues.py`. Rules stand in `access.toml`, not in the log.

What is told of an API token: `{"id", "user", "note", "created_by", "created_ms", "expires_ms", "revoked_ms",
"used_ms"}`, times in milliseconds since 1970 or None. Its secret is told once, when it is made.
"""

from typing import Any

from moot_protocol.requests.base import Mutation, Request


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


class CreateToken(Mutation[dict[str, Any]], kw_only=True):
    """Make an API token of a user. It binds whoever presents it to that user's rules.

    Answer: what is told of it, and `"token"`: the token itself, empty in a dry run. Raises `not_found` where no rule
    names the user, `limit`. An idempotency key has no effect: the answer is a secret, and isn't kept.
    """

    method = "create_token"
    user: str
    expires_ms: int = 0
    """Milliseconds since 1970; 0: never."""
    note: str = ""


class ListTokens(Request[list[dict[str, Any]]], kw_only=True):
    """The API tokens of this machine, the newest first, without their secrets.

    The last use is known to the hour.
    """

    method = "list_tokens"


class RevokeToken(Mutation[dict[str, Any]], kw_only=True):
    """Let an API token be good no more, from the next request on, also on open connections.

    Answer: what is told of it, and `"changed"`: whether it was not revoked before. Raises `not_found`.
    """

    method = "revoke_token"
    id: str


ACCESS_REQUESTS: tuple[type[Request[Any]], ...] = (
    ShowAccess, CheckAccess, ImportAccess, ValidateAccess, CreateToken, ListTokens, RevokeToken,
)  # fmt: skip
"""All of this module."""
