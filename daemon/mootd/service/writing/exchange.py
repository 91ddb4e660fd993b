"""Requests that found planes, invite to them and join them: what each does inside a unit."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.merge.kinds import GENESIS, Role
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import (
    CloseInvite,
    CreatePlane,
    Invite,
    Join,
)
from moot_protocol.time_units import DAY_MS
from moot_protocol.trust.charter import opening_value
from moot_protocol.trust.genesis import PlaneKind, decode_genesis
from moot_protocol.trust.ticket import (
    Remote,
    RemoteKind,
    Ticket,
    TownTicket,
    decode_ticket,
    encode_ticket,
    invite_signer,
    without_credentials,
)
from mootd.edges.recovery import new_recovery_seed, recovery_words
from mootd.engine.machine.remotes import (
    RemoteRow,
    add_remote,
    mode_of,
    remotes,
    set_mode,
)
from mootd.engine.membership import charter_writing
from mootd.engine.membership.charters import invites_of
from mootd.engine.membership.inviting import Invited, close_invite, invite, open_plane
from mootd.engine.membership.joining import Joined, is_waiting, join
from mootd.engine.membership.towns import is_own, name_town, own_name
from mootd.engine.planes import clashing_prefixes, plane_called, planes_here
from mootd.engine.state import no_town
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.service.writing.remotes import check_remote_address, free_name_for

_PLANE_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


# -- Planes ------------------------------------------------------------------------------------------------------
def _create_plane(unit: Unit, request: CreatePlane) -> dict[str, Any]:
    if not _PLANE_NAME.fullmatch(request.name):
        raise RefusedError(f"{request.name!r} can't name a plane: lowercase letters, digits and hyphens, 40 at most")
    if request.kind not in list(PlaneKind):
        raise RefusedError(f"{request.kind!r} is no kind of plane; there are {', '.join(PlaneKind)}")
    if any(plane.name == request.name for plane in planes_here(unit)):
        raise RefusedError(f"there is a plane called {request.name} already", code=Code.EXISTS)
    own = [plane for plane in planes_here(unit) if is_own(unit, plane)]
    if not own:
        raise no_town("run `moot init` first")
    recovery, words = _recovery_of(unit, own), ""
    if all(plane.kind == PlaneKind.OPERATIONAL for plane in own) and request.kind != PlaneKind.OPERATIONAL:
        # A machine of another town founds for itself: nobody has been given the words of what it had so far.
        seed = new_recovery_seed(unit.replica.entropy)
        recovery, words = SeedSigner(seed).public, recovery_words(seed)
    number = charter_writing.found_plane(unit, PlaneKind(request.kind), request.name, recovery)
    unit.seal()
    plane = unit.plane(number)
    name = own_name(unit.transaction, plane.town)
    if name:
        name_town(unit, plane, name)
    if plane.kind != PlaneKind.OPERATIONAL and remotes(unit.transaction):
        open_plane(unit, plane)
    shown = {"name": plane.name, "plane": plane.id.hex(), "kind": plane.kind, "town": key_text(plane.town)}
    return shown | ({"recovery_words": words} if words else {})


def _recovery_of(unit: Unit, own: list[PlaneRow]) -> bytes:
    """The recovery key of this machine's town, as the genesis of a plane names it that the town founded.

    One town has one; but of a machine that joined another town first, what never leaves it has one of its own.
    """
    unit.seal()
    for plane in sorted(own, key=lambda plane: plane.kind == PlaneKind.OPERATIONAL):
        stored = unit.log.batch_holding(unit.feed_number(plane.number, plane.town), 1)
        opening = None if stored is None else unit.log.event(stored.arrival).event
        document = None if opening is None else opening_value(opening, GENESIS)
        if isinstance(document, bytes):
            return decode_genesis(document).recovery
    raise RefusedError("no plane of this town has its genesis", code=Code.STORE_DAMAGED)


# -- Machines of a town ------------------------------------------------------------------------------------------
def _invite(unit: Unit, request: Invite) -> dict[str, Any]:
    plane = plane_called(unit, request.plane)
    if request.role not in list(Role):
        raise RefusedError(f"{request.role!r} is no role; a machine is invited as writer or reader")
    role = Role(request.role)
    return invited(unit, plane, request, lambda *rest: invite(unit, plane, role, *rest))


class Asked(Protocol):
    """What somebody asks who wants an invite."""

    role: str
    expires_ms: int


def invited(
    unit: Unit, plane: PlaneRow, asked: Asked, make: Callable[[int, Sequence[Remote]], Invited]
) -> dict[str, Any]:
    """Answer a request for an invite, whoever it is for.

    Args:
        unit: the unit.
        plane: the plane.
        asked: the role, and when it expires.
        make: makes it, from when it expires and the remotes that it leads to.
    """
    shared = [
        row
        for row in remotes(unit.transaction)
        if plane.kind != PlaneKind.OPERATIONAL and mode_of(unit.transaction, row, plane.number) != "off"
    ]
    expires_ms = asked.expires_ms or unit.now_ms + DAY_MS
    made = make(expires_ms, [_ticket_remote(row) for row in shared])
    return {
        "ticket": encode_ticket(made.ticket),
        "invite": key_text(made.key),
        "plane": plane.name,
        "role": asked.role,
        "expires_ms": expires_ms,
        "remotes": [{"kind": row.kind, "url": without_credentials(row.url)} for row in shared],
    }


def _ticket_remote(row: RemoteRow) -> Remote:
    return Remote(RemoteKind(row.kind), row.url)


def _close_invite(unit: Unit, request: CloseInvite) -> dict[str, Any]:
    plane, key = invite_called(unit, request.invite)
    keep = None if request.keep is None else [_replica_key(text) for text in request.keep]
    users = close_invite(unit, plane, key, keep)
    return {
        "invite": key_text(key),
        "plane": plane.name,
        "state": "closed",
        "users": [key_text(each) for each in users],
    }


def _replica_key(text: str) -> bytes:
    key = key_from_text(text)
    if key is None:
        raise RefusedError(f"{text!r} is no replica's key", hint="see `moot plane show`")
    return key


def invite_called(unit: Unit, name: str) -> tuple[PlaneRow, bytes]:
    """An invite by its key or the beginning of it.

    Raises:
        RefusedError: `not_found`, `ambiguous`.
    """
    unit.seal()
    found = [
        (plane, key) for plane in planes_here(unit) for key in invites_of(unit, plane) if key_text(key).startswith(name)
    ]
    if len(found) != 1 or not name:
        code = Code.AMBIGUOUS if found else Code.NOT_FOUND
        what = f"{len(found)} invites begin" if found else "no invite begins"
        raise RefusedError(f"{what} with {name!r}", code=code, hint="see `moot invite list`")
    return found[0]


def _join(unit: Unit, request: Join) -> dict[str, Any]:
    ticket = decode_ticket(request.ticket)
    words = _found_own(unit, ticket)
    joined = join(unit, ticket)
    names = _use_remotes(unit, ticket, joined)
    return {
        "plane": joined.plane.id.hex(),
        "name": joined.plane.name,
        "town": key_text(ticket.town),
        "role": _role_of(unit, ticket, joined.plane),
        "is_for_town": isinstance(ticket, TownTicket),
        "own_town": key_text(joined.plane.town),
        "state": "waiting" if is_waiting(unit.transaction, joined.plane.number) else "ready",
        "created": joined.created,
        "is_again": joined.is_again,
        "replica": key_text(joined.new_key.signer.public if joined.new_key else unit.replica.id),
        "is_new_key": joined.new_key is not None,
        "left": [plane.name for plane in joined.left],
        "remotes": names,
        "clashes": [
            prefix
            for prefix, planes in clashing_prefixes(unit.replica, unit.transaction).items()
            if joined.plane.number in planes
        ],
        "recovery_words": words,
        "init_plane": _to_name(unit, joined.plane),
    }


def _to_name(unit: Unit, plane: PlaneRow) -> str:
    """What `init` has to name to open a project on a plane; empty for the machine's first ledger, its default."""
    first = next((row.number for row in planes_here(unit) if row.kind == PlaneKind.LEDGER), None)
    return "" if plane.number == first else plane.name


def _role_of(unit: Unit, ticket: Ticket, plane: PlaneRow) -> str:
    """What a ticket lets its user be: of a machine's, only the charter tells; empty until it has come."""
    if isinstance(ticket, TownTicket):
        return str(ticket.role)
    invitation = invites_of(unit, plane).get(invite_signer(ticket.invite_seed).public)
    return "" if invitation is None else str(invitation.invite.role)


def _use_remotes(unit: Unit, ticket: Ticket, joined: Joined) -> list[str]:
    """Exchange a joined plane with the remotes of its ticket, known or new; their names."""
    known = {without_credentials(row.url): row for row in remotes(unit.transaction)}
    plane = SharedPlane(joined.plane)
    is_news = joined.created or is_waiting(unit.transaction, plane.number)
    names = []
    for remote in ticket.remotes:
        url = without_credentials(remote.url)
        row = known.get(url)
        if row is None:
            check_remote_address(remote.kind, url)
            # Other planes of this machine have nothing to do with it.
            row = known[url] = add_remote(unit, free_name_for(unit, url), str(remote.kind), url, "off", {})
        elif not is_news:
            continue
        if mode_of(unit.transaction, row, plane.number) == "off":
            set_mode(unit, row, plane, "auto")
        if row.name not in names:
            names.append(row.name)
    return names


def _found_own(unit: Unit, ticket: Ticket) -> str:
    """Make a town of this machine's own, if it has none; its recovery words, where they are of use.

    A machine that joins as another town is where that town is founded, with a ledger. A machine of the inviting town
    gets that town's ledger with an invite of its own and founds none: nothing of it leaves, so no words speak for it,
    and `create_plane` gives some that do.
    """
    replica = unit.replica
    if replica.is_founded or unit.new_planes:
        return ""
    seed = new_recovery_seed(replica.entropy)
    if isinstance(ticket, TownTicket):
        charter_writing.found_town(unit, SeedSigner(seed).public)
        return recovery_words(seed)
    charter_writing.found_town(unit, SeedSigner(seed).public, charter_writing.OPERATIONAL_ONLY)
    return ""


EXCHANGE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    CreatePlane: _create_plane,
    Invite: _invite,
    CloseInvite: _close_invite,
    Join: _join,
}
"""What each of these requests does to the log. Tickets are secrets: their answers are never kept."""
SECRET_ANSWERS: Final = frozenset({CreatePlane, Invite, Join})
"""Requests whose answers must not be kept for whoever asks again."""
