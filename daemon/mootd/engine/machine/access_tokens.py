"""API tokens of this machine: the hash of each, whose it is, until when it is good, and when it was last used.

Invariant: a secret is never kept, only its hash. Rows stand in META, beside the log and not in it: like the rules in
`access.toml` they say something of this machine only, no transport reads that table, and `rebuild` leaves it alone.
That a token was made, used or revoked stands in the audit stream.
"""

from collections.abc import Iterator
from enum import StrEnum
from hmac import compare_digest
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.access.tokens import ID_ENTROPY_BYTES, SECRET_BYTES, make_token, token_hash, token_id
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACCESS_TOKEN_NOTE_CHARS, ACCESS_TOKEN_USE_MS, ACCESS_TOKENS
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

_NO_HASH: Final = bytes(32)
"""What a token is compared with where there is none: no token has it, and it takes as long."""


class Flaw(StrEnum):
    """Why a token isn't good. Told to the audit stream, not to whoever presented it."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


class _Row(msgspec.Struct, array_like=True, frozen=True):
    user: str
    hash: bytes
    created_ms: int
    created_by: str
    expires_ms: int
    revoked_ms: int
    note: str


class Token(NamedTuple):
    """One token, without its secret. Times are milliseconds since 1970; 0 for none."""

    id: str
    user: str
    created_ms: int
    created_by: str
    expires_ms: int
    revoked_ms: int
    note: str
    used_ms: int
    """Its last use, to the hour."""


_decode: Final = msgspec.msgpack.Decoder(_Row).decode


# -- Reading -----------------------------------------------------------------------------------------------------
def tokens(reader: Reader) -> list[Token]:
    """All tokens, the newest first."""
    rows = reader.scan(Table.META, layout.TOKENS, layout.after(layout.TOKENS))
    found = [_token(reader, key[len(layout.TOKENS) :].decode(), _decode(packed)) for key, packed in rows]
    return sorted(found, key=lambda token: (-token.created_ms, token.id))


def presented(reader: Reader, text: str, now_ms: int) -> Token | Flaw:
    """The token that a text is, or why it isn't good now."""
    name = token_id(text) or ""
    packed = reader.get(Table.META, layout.TOKENS + name.encode())
    row = None if packed is None else _decode(packed)
    same = compare_digest(token_hash(text), _NO_HASH if row is None else row.hash)
    if row is None or not same:
        return Flaw.UNKNOWN
    if row.revoked_ms:
        return Flaw.REVOKED
    if 0 < row.expires_ms <= now_ms:
        return Flaw.EXPIRED
    return _token(reader, name, row)


def is_use_due(token: Token, now_ms: int) -> bool:
    """Whether a use of a token is to be noted: its first, and one an hour."""
    return now_ms - token.used_ms >= ACCESS_TOKEN_USE_MS


def _token(reader: Reader, name: str, row: _Row) -> Token:
    used = reader.get(Table.META, layout.TOKEN_USES + name.encode())
    return Token(
        name, row.user, row.created_ms, row.created_by, row.expires_ms, row.revoked_ms, row.note,
        int.from_bytes(used or b"", "big"),
    )  # fmt: skip


# -- Writing -----------------------------------------------------------------------------------------------------
def create_token(unit: Unit, user: str, *, by: str, expires_ms: int, note: str) -> tuple[Token, str]:
    """Make a token; gives what is known of it, and the token itself, which is not to be had again.

    Raises:
        RefusedError: `limit`: there are too many, or the note is too long; `invalid`: it would have expired already.
    """
    if len(note) > ACCESS_TOKEN_NOTE_CHARS:
        raise RefusedError(f"a note of {len(note)} characters; at most {ACCESS_TOKEN_NOTE_CHARS}", code=Code.LIMIT)
    if expires_ms and expires_ms <= unit.now_ms:
        raise RefusedError("a token that would have expired already")
    _make_room(unit)
    entropy = unit.replica.entropy
    text = make_token(entropy.bytes(ID_ENTROPY_BYTES), entropy.bytes(SECRET_BYTES))
    name = token_id(text) or ""
    row = _Row(user, token_hash(text), unit.now_ms, by, expires_ms, 0, note)
    _put(unit, name, row)
    return _token(unit.transaction, name, row), text


def revoke_token(unit: Unit, name: str) -> tuple[Token, bool]:
    """Let a token be good no more; gives what is known of it, and whether it was not revoked before.

    Raises:
        RefusedError: `not_found`.
    """
    packed = unit.transaction.get(Table.META, layout.TOKENS + name.encode()) if name else None
    if packed is None:
        raise RefusedError(f"there is no token {name}", code=Code.NOT_FOUND, hint="see `moot access token list`")
    row = _decode(packed)
    changed = not row.revoked_ms
    if changed:
        row = msgspec.structs.replace(row, revoked_ms=unit.now_ms)
        _put(unit, name, row)
    return _token(unit.transaction, name, row), changed


def note_use(unit: Unit, name: str) -> None:
    """Note that a token was used now."""
    unit.transaction.put(Table.META, layout.TOKEN_USES + name.encode(), unit.now_ms.to_bytes(8, "big"))


def _make_room(unit: Unit) -> None:
    """Forget the oldest token that is good no more, where there are as many as may be."""
    every = tokens(unit.transaction)
    if len(every) < ACCESS_TOKENS:
        return
    dead = next(_dead(every, unit.now_ms), None)
    if dead is None:
        raise RefusedError(
            f"there are {ACCESS_TOKENS} tokens already", code=Code.LIMIT, hint="revoke some: moot access token list"
        )
    unit.transaction.delete(Table.META, layout.TOKENS + dead.id.encode())
    unit.transaction.delete(Table.META, layout.TOKEN_USES + dead.id.encode())


def _dead(every: list[Token], now_ms: int) -> Iterator[Token]:
    return (token for token in reversed(every) if token.revoked_ms or 0 < token.expires_ms <= now_ms)


def _put(unit: Unit, name: str, row: _Row) -> None:
    unit.transaction.put(Table.META, layout.TOKENS + name.encode(), msgspec.msgpack.encode(row))


def told(token: Token) -> dict[str, Any]:
    """What requests tell of a token."""
    times = ("expires_ms", "revoked_ms", "used_ms")
    return token._asdict() | {name: getattr(token, name) or None for name in times}
