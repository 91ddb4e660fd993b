"""`--request-id`: a command that is called again under the same id gets the answers of the first time.

Invariant: the n-th write of a command goes out under the key `ID#n`, so that a script which doesn't know whether its
call was carried out can call again: what was done is not done twice, and what wasn't is done now. A different command
under the same id is refused (`key_reused`). Keys count for a day, on one machine.
"""

from typing import Final, Protocol, TypeVar, runtime_checkable

from moot.console.api import Api
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request

R = TypeVar("R")

_ID_BYTES: Final = 100
"""A key has some bytes more: the number of the write."""


@runtime_checkable
class TakesKeys(Protocol):
    """An Api that carries out a write once under a key."""

    def call_keyed(self, request: Request[R], key: str) -> R:
        """As `Api.call`, under an idempotency key."""


class KeyedApi:
    """An Api that gives every write of one command a key.

    Args:
        api: the daemon.
        request_id: what the keys are made from.

    Raises:
        RefusedError: `usage`: the id is empty, as that of a variable that isn't set; or nothing takes keys here;
            `limit`: it is too long.
    """

    def __init__(self, api: Api, request_id: str) -> None:
        if not request_id:
            raise RefusedError(
                "--request-id is empty", code=Code.USAGE, hint=f"give any text of up to {_ID_BYTES} bytes"
            )
        if len(request_id.encode()) > _ID_BYTES:
            raise RefusedError(
                f"the --request-id has {len(request_id.encode())} bytes; at most {_ID_BYTES}", code=Code.LIMIT
            )
        if not isinstance(api, TakesKeys):
            raise RefusedError(
                "--request-id isn't taken here", code=Code.USAGE, hint="leave it away, and don't call again"
            )
        self._api = api
        self._request_id = request_id
        self._writes = 0

    def call(self, request: Request[R]) -> R:
        """Carry out a request.

        Raises:
            RefusedError: `key_reused`: the id came with another command; besides what carrying it out raises.
        """
        if not type(request).writes:
            return self._api.call_keyed(request, "")
        self._writes += 1
        try:
            return self._api.call_keyed(request, f"{self._request_id}#{self._writes}")
        except MootError as error:
            if error.code is not Code.KEY_REUSED:
                raise
            raise RefusedError(
                f"--request-id {self._request_id} came with another command before",
                code=Code.KEY_REUSED,
                hint="give each command an id of its own, and the same one only to repeat it",
            ) from error
