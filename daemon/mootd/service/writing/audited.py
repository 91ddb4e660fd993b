"""What leaves a record when it is done, whether or not any rule binds: administering, and taking things away.

Invariant: the record stands in the same transaction as what it records, so that there is never one without the other.
Only where the operation gives this machine another key it follows in a transaction of its own: until that has
committed the old key would have to sign it. Nothing that isn't listed pays more than one look into the list.
"""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.access.table import resources_of
from moot_protocol.requests.access import ImportAccess
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import AddRemote, CloseInvite, CreatePlane, Invite, Join, RemoveRemote, SetMode
from moot_protocol.requests.federation import IsolatePlane
from moot_protocol.requests.issues import Delete, InitTown, Undelete
from moot_protocol.requests.leases import PromoteTown, Rebalance
from moot_protocol.requests.membership import (
    CreateTown,
    InviteTown,
    Recover,
    RemoveTown,
    RetireReplica,
    RotatePlaneKey,
    RotateTownKey,
    Salvage,
    SettleFork,
)
from moot_protocol.requests.memories import EraseMemory
from moot_protocol.requests.spools import CloseSpool, OpenSpool
from mootd.engine.audit import Entry, note
from mootd.engine.unit import Unit

EVENT_TYPES: Final[dict[type[Request[Any]], str]] = {
    InitTown: "town_created",
    CreateTown: "town_created",
    CreatePlane: "plane_created",
    IsolatePlane: "plane_isolated",
    Join: "plane_joined",
    Invite: "invite_created",
    InviteTown: "invite_created",
    CloseInvite: "invite_closed",
    RemoveTown: "member_removed",
    RetireReplica: "replica_retired",
    SettleFork: "fork_settled",
    RotatePlaneKey: "key_rotated",
    RotateTownKey: "key_rotated",
    Recover: "recovered",
    Salvage: "salvaged",
    AddRemote: "remote_added",
    RemoveRemote: "remote_removed",
    SetMode: "remote_changed",
    OpenSpool: "spool_opened",
    CloseSpool: "spool_closed",
    ImportAccess: "permission_changed",
    PromoteTown: "leases_moved",
    Rebalance: "claims_moved",
    EraseMemory: "erased",
}
"""Operations on this machine, its planes and its rules, and what goes for good → what their records are called."""
_NAMED: Final = "town_named"
"""What the record of a `CreateTown` is called that named the town that was there."""
DELETIONS: Final[dict[type[Request[Any]], str]] = {Delete: "deleted", Undelete: "undeleted", Erase: "erased"}
"""As `EVENT_TYPES`, for what may also be a step of a script."""
AFTERWARDS: Final = frozenset({RotateTownKey, Recover, Salvage, Join})
"""Those after which the machine has, or may have, another key."""
_TOLD: Final = ("role", "kind", "mode", "expires_ms", "reason")
"""Fields that a record tells beside what a request is about; none of them holds a secret."""


def entry_of(request: Request[Any], event_type: str) -> Entry:
    """The record of a request that was carried out."""
    resource = ", ".join(each.text for each in resources_of(request) if each.text != getattr(request, "actor", ""))
    details = {name: str(value) for name in _TOLD if (value := getattr(request, name, None))}
    return Entry(event_type, getattr(request, "actor", ""), request.method, resource, "done", details)


def recorded(request: Request[Any], event_type: str, work: Callable[[Unit], Any]) -> Callable[[Unit], Any]:
    """Work that leaves a record; a dry run leaves none, nor a call for a town that is there. It may fail afterwards."""
    if getattr(request, "dry_run", False):
        return work

    def with_record(unit: Unit) -> Any:
        answer = work(unit)
        if isinstance(request, InitTown) and not answer["created"]:
            return answer
        is_naming = isinstance(request, CreateTown) and not answer["created"]
        note(unit, entry_of(request, _NAMED if is_naming else event_type))
        return answer

    return with_record


def with_deletion_recorded(write: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A deletion, alone or as a step, with its record."""

    def deleted(writer: Any, request: Any) -> Any:
        answer = write(writer, request)
        if not request.dry_run:
            entry = entry_of(request, DELETIONS[type(request)])
            # What people wrote stands in the issue, and can be erased there; a record can't.
            note(writer.unit, entry._replace(details={}))
        return answer

    return deleted
