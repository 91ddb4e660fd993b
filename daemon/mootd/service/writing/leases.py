"""Requests that take, keep and give back leases, and that take over what machines held that are gone."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.leases import AcquireLease, PromoteTown, Rebalance, ReleaseLease, RenewLease
from mootd.engine.rebalancing import rebalance
from mootd.engine.task_leases import Held, OwnKeys, acquire, document, hybrid_ms, release, renew, view_in
from mootd.engine.unit import Unit


def _told(unit: Unit, held: Held) -> dict[str, Any]:
    return document(held, OwnKeys(unit, unit.replica), hybrid_ms(unit))


def _acquire(unit: Unit, request: AcquireLease) -> dict[str, Any]:
    return _told(unit, acquire(unit, request.name, request.actor, request.ttl_ms))


def _renew(unit: Unit, request: RenewLease) -> dict[str, Any]:
    return _told(unit, renew(unit, request.name, request.epoch, request.actor, request.ttl_ms))


def _release(unit: Unit, request: ReleaseLease) -> dict[str, Any]:
    return _told(unit, release(unit, request.name, request.epoch, request.actor))


def _promote(unit: Unit, request: PromoteTown) -> dict[str, Any]:
    answer: dict[str, Any] = {"moved": [], "kept": [], "held": []}
    for held in list(view_in(unit).all()):
        before = _told(unit, held)
        is_kept = held.standing is not None and held.standing.token.holder == unit.replica.id
        if is_kept and before["state"] == "held":
            answer["kept"].append(before)
            continue
        try:
            taken = acquire(unit, held.name, request.actor, request.ttl_ms, force=request.force)
        except RefusedError as error:
            if error.code not in {Code.CONFLICT, Code.LIMIT}:
                raise
            answer["held"].append(before)
        else:
            answer["moved"].append(_told(unit, taken) | {"was": before["holder"]})
    return answer


def _rebalance(unit: Unit, request: Rebalance) -> dict[str, Any]:
    return rebalance(unit, request.source, request.to, request.actor)


LEASE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    AcquireLease: _acquire,
    RenewLease: _renew,
    ReleaseLease: _release,
    PromoteTown: _promote,
    Rebalance: _rebalance,
}
"""What each of these requests does to the log."""
