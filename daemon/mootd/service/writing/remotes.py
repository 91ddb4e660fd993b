"""Requests that change remotes and what is exchanged with them: what each does inside a unit."""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import URL_BYTES
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import MQTT_VERSIONS, AddRemote, RemoveRemote, SetMode
from moot_protocol.requests.federation import IsolatePlane
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.ticket import RemoteKind, without_credentials
from mootd.edges.git.words import check_address
from mootd.engine.exchange.outbox import Outbox
from mootd.engine.machine.remotes import add_remote, is_allowed, isolate, remote_named, remotes, remove_remote, set_mode
from mootd.engine.membership.inviting import open_plane
from mootd.engine.membership.towns import is_own
from mootd.engine.planes import plane_called, planes_here
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit

_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")


def _add_remote(unit: Unit, request: AddRemote) -> dict[str, Any]:
    options = {name: value for name, value in msgspec.structs.asdict(request.options).items() if value}
    if not request.url.isprintable() or not 0 < len(request.url.encode()) <= URL_BYTES:
        raise RefusedError(f"an address has 1 to {URL_BYTES} bytes, all of them printable")
    from mootd.edges.address_secrets import check_no_secret  # noqa: PLC0415 - many add no remote

    if request.kind == RemoteKind.GIT:
        check_no_secret(request.url)
    shown = without_credentials(request.url)
    check_remote_address(request.kind, request.url)
    if request.kind == RemoteKind.MQTT:  # after its own words about passwords
        check_no_secret(request.url)
    if request.options.protocol not in ("", *MQTT_VERSIONS):
        raise RefusedError(f"{request.options.protocol!r}: the versions of MQTT are {' and '.join(MQTT_VERSIONS)}")
    _check_is_new(unit, request)
    name = request.name or free_name_for(unit, request.url)
    for plane in planes_here(unit):
        if plane.kind != PlaneKind.OPERATIONAL and is_own(unit, plane):
            open_plane(unit, plane)
    row = add_remote(unit, name, request.kind, request.url, request.mode, options)
    return {"name": row.name, "kind": row.kind, "url": shown, "mode": row.mode}


def check_remote_address(kind: str, url: str) -> None:
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


def free_name_for(unit: Unit, url: str) -> str:
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


REMOTE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    AddRemote: _add_remote,
    RemoveRemote: _remove_remote,
    SetMode: _set_mode,
    IsolatePlane: _isolate,
}
"""What each of these requests does to the log."""
