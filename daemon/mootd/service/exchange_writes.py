"""Requests that change planes, membership and remotes: what each does inside a unit."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from moot_protocol.charter import opening_value
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange_requests import (
    MQTT_VERSIONS,
    AddRemote,
    CloseInvite,
    CreatePlane,
    Invite,
    Join,
    RemoveRemote,
    SetMode,
)
from moot_protocol.federation_requests import IsolatePlane
from moot_protocol.genesis import PlaneKind, decode_genesis
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.kinds import GENESIS, Role
from moot_protocol.limits import URL_BYTES
from moot_protocol.request_base import Request
from moot_protocol.ticket import (
    Remote,
    RemoteKind,
    Ticket,
    TownTicket,
    decode_ticket,
    encode_ticket,
    invite_signer,
    without_credentials,
)
from mootd.edges.git.words import check_address
from mootd.edges.recovery import new_recovery_seed, recovery_words
from mootd.engine import membership
from mootd.engine.charters import invites_of
from mootd.engine.inviting import Invited, close_invite, invite, open_plane
from mootd.engine.joining import Joined, is_waiting, join
from mootd.engine.log import PlaneRow
from mootd.engine.outbox import Outbox
from mootd.engine.planes import clashing_prefixes, plane_meant
from mootd.engine.remotes import (
    RemoteRow,
    add_remote,
    is_allowed,
    isolate,
    mode_of,
    remote_named,
    remotes,
    remove_remote,
    set_mode,
)
from mootd.engine.shared_plane import SharedPlane
from mootd.engine.state import no_town
from mootd.engine.towns import is_own, name_town, own_name
from mootd.engine.unit import Unit

DAY_MS: Final = 24 * 3600 * 1000
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")
_PLANE_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


# -- Remotes -----------------------------------------------------------------------------------------------------
def _add_remote(unit: Unit, request: AddRemote) -> dict[str, Any]:
    options = {name: value for name, value in msgspec.structs.asdict(request.options).items() if value}
    if not request.url.isprintable() or not 0 < len(request.url.encode()) <= URL_BYTES:
        raise RefusedError(f"an address has 1 to {URL_BYTES} bytes, all of them printable")
    shown = without_credentials(request.url)
    _check_address(request.kind, request.url)
    if request.options.protocol not in ("", *MQTT_VERSIONS):
        raise RefusedError(f"{request.options.protocol!r}: the versions of MQTT are {' and '.join(MQTT_VERSIONS)}")
    _check_is_new(unit, request)
    name = request.name or _name_for(unit, request.url)
    for plane in planes_here(unit):
        if plane.kind != PlaneKind.OPERATIONAL and is_own(unit, plane):
            open_plane(unit, plane)
    row = add_remote(unit, name, request.kind, request.url, request.mode, options)
    return {"name": row.name, "kind": row.kind, "url": shown, "mode": row.mode}


def _check_address(kind: str, url: str) -> None:
    """Refuse an address that no remote of this kind can have.

    Raises:
        RefusedError: `invalid`.
    """
    if kind == RemoteKind.GIT:
        check_address(url)
    elif kind == RemoteKind.MQTT:
        from mootd.edges.mqtt.address import parse_address  # noqa: PLC0415 - loads TLS, which few need

        parse_address(url)


def _check_is_new(unit: Unit, request: AddRemote) -> None:
    """Refuse what is a remote already, whatever its name: everything would be sent there twice.

    As another user it is another remote, because a broker may have a user for each plane.

    Raises:
        RefusedError: `exists`.
    """
    asked = _place(request.kind, request.url, request.options.user)
    for row in remotes(unit.transaction):
        if asked == _place(row.kind, row.url, row.options.get("user", "")):
            raise RefusedError(
                f"remote {row.name} has this address already",
                code=Code.EXISTS,
                hint=f"`moot plane set PLANE --remote {row.name} --mode auto` exchanges a plane with it; "
                f"to add it with other settings, `moot remote remove {row.name}` first",
            )


def _place(kind: str, url: str, user: str) -> tuple[str, str, str]:
    """What tells two remotes apart: kind, address without credentials, and as whom."""
    return kind, without_credentials(url).rstrip("/"), user or _parts(url).username or ""


def _name_for(unit: Unit, url: str) -> str:
    """A name that is free: `origin`, or one made from the host."""
    taken = {row.name for row in remotes(unit.transaction)}
    host = _parts(url).hostname or url.rstrip("/").rpartition("/")[2]
    base = _UNFIT.sub("-", host).strip("-.")[:30] or "remote"
    names = ("origin", base, *(f"{base}-{number}" for number in range(2, 1000)))
    return next(name for name in names if name not in taken)


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets around what is no address
        return urlsplit("")


def _remove_remote(unit: Unit, request: RemoveRemote) -> dict[str, Any]:
    row = remote_named(unit.transaction, request.name)
    queued = Outbox(unit.transaction, row.number).clear()
    remove_remote(unit, request.name)
    return {"name": row.name, "queued": queued}


def _set_mode(unit: Unit, request: SetMode) -> dict[str, Any]:
    plane, remote = plane_called(unit, request.plane), remote_named(unit.transaction, request.remote)
    set_mode(unit, remote, SharedPlane(plane), request.mode)
    return {"plane": plane.name, "remote": remote.name, "mode": request.mode}


def _isolate(unit: Unit, request: IsolatePlane) -> dict[str, Any]:
    row = plane_called(unit, request.plane)
    if row.kind == PlaneKind.OPERATIONAL:
        raise RefusedError(f"plane {row.name} is operational: it leaves this machine in no case")
    named = [remote_named(unit.transaction, name) for name in request.to]
    isolate(unit, SharedPlane(row), None if request.off else named)
    withdrawn = 0
    for remote in remotes(unit.transaction):
        if not is_allowed(unit.transaction, remote.number, row.number):
            withdrawn += Outbox(unit.transaction, remote.number).clear(row.number)
    return {
        "plane": row.name,
        "is_isolated": not request.off,
        "remotes": [] if request.off else [remote.name for remote in named],
        "withdrawn": withdrawn,
    }


# -- Planes ------------------------------------------------------------------------------------------------------
def planes_here(unit: Unit) -> list[PlaneRow]:
    """All planes, those new in this unit included."""
    return [unit.plane(number) for number in (*unit.replica.planes, *(row.number for row in unit.new_planes))]


def plane_called(unit: Unit, name: str) -> PlaneRow:
    """A plane by its name or the beginning of its id.

    Raises:
        RefusedError: `not_found`, `ambiguous`; `not_ready` where there is no town yet.
    """
    planes = planes_here(unit)
    if not planes:
        raise no_town()
    return plane_meant(planes, name)


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
    number = membership.found_plane(unit, PlaneKind(request.kind), request.name, recovery)
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
    }


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
            _check_address(remote.kind, url)
            # Other planes of this machine have nothing to do with it.
            row = known[url] = add_remote(unit, _name_for(unit, url), str(remote.kind), url, "off", {})
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
        membership.found_town(unit, SeedSigner(seed).public)
        return recovery_words(seed)
    membership.found_town(unit, SeedSigner(seed).public, membership.OPERATIONAL_ONLY)
    return ""


EXCHANGE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    AddRemote: _add_remote,
    RemoveRemote: _remove_remote,
    SetMode: _set_mode,
    CreatePlane: _create_plane,
    Invite: _invite,
    CloseInvite: _close_invite,
    Join: _join,
    IsolatePlane: _isolate,
}
"""What each request of the exchange does to the log. Tickets are secrets: their answers are never kept."""
SECRET_ANSWERS: Final = frozenset({CreatePlane, Invite, Join})
"""Requests whose answers must not be kept for whoever asks again."""
