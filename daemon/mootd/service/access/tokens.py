"""API tokens as they are asked for: made, listed, revoked, and looked up for whoever presents one.

Invariant: a token is told once, in the answer to the request that makes it, and that answer is kept nowhere.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from moot_protocol.access.rules import is_named
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import entity_problem
from moot_protocol.requests.access import CreateToken, ListTokens, RevokeToken
from moot_protocol.requests.base import Mutation, Request
from mootd.edges.access_file import AccessFile
from mootd.engine.audit import Entry, note
from mootd.engine.machine.access_tokens import (
    Flaw,
    Token,
    create_token,
    is_use_due,
    presented,
    revoke_token,
    tokens,
    told,
)
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit

if TYPE_CHECKING:  # what reads issues need not be loaded before the socket is served
    from mootd.service.snapshot import Snapshot


class Tokens:
    """Looks tokens up as they stand now.

    Args:
        replica: the replica.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def presented(self, text: str) -> Token | Flaw:
        """The token that a text is, or why it isn't good."""
        with self._replica.read() as reader:
            return presented(reader, text, self._replica.wall.now_ms())

    def is_use_due(self, token: Token) -> bool:
        """Whether a use of it is to be noted."""
        return is_use_due(token, self._replica.wall.now_ms())


# -- Reading -----------------------------------------------------------------------------------------------------
def _list(snapshot: "Snapshot", request: ListTokens) -> list[dict[str, Any]]:
    del request
    return [told(token) for token in tokens(snapshot.reader)]


TOKEN_READS: "Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]]" = {ListTokens: _list}
"""What each reading request about tokens is answered with."""


# -- Writing -----------------------------------------------------------------------------------------------------
def _create(file: AccessFile, unit: Unit, request: CreateToken) -> dict[str, Any]:
    rules = file.rules()
    if rules is None or entity_problem(request.user) or not is_named(rules, request.user):
        raise RefusedError(
            f"no rule names {request.user!r}", code=Code.NOT_FOUND, hint=f"name them in {file.path} first"
        )
    made, text = create_token(unit, request.user, by=request.actor, expires_ms=request.expires_ms, note=request.note)
    _record(unit, request, "token_created", made)
    return told(made) | {"token": "" if request.dry_run else text}


def _revoke(file: AccessFile, unit: Unit, request: RevokeToken) -> dict[str, Any]:
    del file
    revoked, changed = revoke_token(unit, request.id)
    if changed:
        _record(unit, request, "token_revoked", revoked)
    return told(revoked) | {"changed": changed}


def _record(unit: Unit, request: Mutation[Any], event_type: str, token: Token) -> None:
    details = {"user": token.user, "note": token.note}
    note(unit, Entry(event_type, request.actor, request.method, token.id, "done", details))


_WRITES: Final[dict[type[Request[Any]], Callable[[AccessFile, Unit, Any], dict[str, Any]]]] = {
    CreateToken: _create,
    RevokeToken: _revoke,
}
TOKEN_WRITES: Final = frozenset(_WRITES)
"""The writing requests about tokens."""


def change_tokens(file: AccessFile, unit: Unit, request: Mutation[Any]) -> dict[str, Any]:
    """Carry out a writing request about tokens, its record included; it may fail after it has written."""
    work = _WRITES[type(request)]
    if request.dry_run:
        dry: dict[str, Any] = unit.try_out(lambda unit: work(file, unit, request))
        return dry
    return work(file, unit, request)
