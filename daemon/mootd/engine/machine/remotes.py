"""Remotes of this machine, and how each plane is exchanged with them. Bookkeeping of this machine, never replicated.

Invariants: a mode that was set for a plane and a remote holds until it is set anew; without one the remote's own does.
An operational plane can't be given one. An isolated plane is exchanged with the remotes that are named for it, by their
numbers, which are never given twice: whatever is added later, and whatever its mode, is none of them.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import REMOTE_NAME_CHARS
from moot_protocol.requests.exchange import SYNC_MODES
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow, encode_row
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

KINDS: Final = ("git", "mqtt")


class RemoteRow(msgspec.Struct, array_like=True, frozen=True):
    """A remote as it was added."""

    number: int
    name: str
    kind: str
    """`git` or `mqtt`."""
    url: str
    mode: str
    """How planes are exchanged with it that have no mode of their own."""
    options: dict[str, str]
    """Files and names that say how to reach it; no secrets."""


_decode: Final[Callable[[bytes], RemoteRow]] = msgspec.msgpack.Decoder(RemoteRow).decode
_decode_numbers: Final[Callable[[bytes], list[int]]] = msgspec.msgpack.Decoder(list[int]).decode


def remotes(reader: Reader) -> list[RemoteRow]:
    """All remotes in the order in which they were added."""
    return [_decode(value) for _, value in reader.scan(Table.META, layout.REMOTES, layout.after(layout.REMOTES))]


def remote_named(reader: Reader, name: str) -> RemoteRow:
    """A remote by its name.

    Raises:
        RefusedError: `not_found`.
    """
    found = next((row for row in remotes(reader) if row.name == name), None)
    if found is None:
        raise RefusedError(f"there is no remote named {name}", code=Code.NOT_FOUND, hint="see `moot remote list`")
    return found


def check_is_there(reader: Reader, number: int) -> None:
    """Check that a remote hasn't been removed: what is noted of it after that would stay for good.

    Raises:
        RefusedError: `not_found`.
    """
    if reader.get(Table.META, layout.remote_key(number)) is None:
        raise RefusedError("the remote was removed", code=Code.NOT_FOUND)


def add_remote(unit: Unit, name: str, kind: str, url: str, mode: str, options: dict[str, str]) -> RemoteRow:
    """Add a remote.

    Raises:
        RefusedError: `exists` for a name that is taken; `invalid` for a name, kind or mode that is none.
    """
    is_short = 0 < len(name) <= REMOTE_NAME_CHARS
    if not (is_short and name.isascii() and name.replace("-", "").replace(".", "").isalnum()):
        words = f"letters, digits, hyphens and dots, {REMOTE_NAME_CHARS} at most"
        raise RefusedError(f"{name!r} can't name a remote: {words}")
    if kind not in KINDS:
        raise RefusedError(f"{kind!r} is no kind of remote; there are {' and '.join(KINDS)}")
    _check_mode(mode)
    known = remotes(unit.transaction)
    if any(row.name == name for row in known):
        raise RefusedError(f"there is a remote named {name} already", code=Code.EXISTS, hint="choose another --name")
    # Numbers are never given twice: what was noted of a removed remote must not speak of another.
    number = int.from_bytes(unit.transaction.get(Table.META, layout.LAST_REMOTE) or b"", "big") + 1
    unit.transaction.put(Table.META, layout.LAST_REMOTE, number.to_bytes(2, "big"))
    row = RemoteRow(number, name, kind, url, mode, options)
    unit.changes_remotes = True
    unit.transaction.put(Table.META, layout.remote_key(number), encode_row(row))
    return row


def remove_remote(unit: Unit, name: str) -> RemoteRow:
    """Forget a remote and all that was noted of it but its queue (`Outbox.clear`).

    Raises:
        RefusedError: `not_found`.
    """
    row = remote_named(unit.transaction, name)
    unit.changes_remotes = True
    unit.transaction.delete(Table.META, layout.remote_key(row.number))
    for prefix in layout.remote_prefixes(row.number):
        for key, _ in list(unit.transaction.scan(Table.META, prefix, layout.after(prefix))):
            unit.transaction.delete(Table.META, key)
    return row


def set_mode(unit: Unit, remote: RemoteRow, plane: SharedPlane, mode: str) -> None:
    """Say how a plane is exchanged with a remote.

    Raises:
        RefusedError: `invalid` for a mode that is none; `conflict` where the plane is isolated from the remote.
    """
    _check_mode(mode)
    if mode != "off" and not is_allowed(unit.transaction, remote.number, plane.number):
        raise RefusedError(
            f"the plane is isolated, and {remote.name} is none of its remotes",
            code=Code.CONFLICT,
            hint="`moot plane isolate PLANE --to REMOTE` names the ones that it may have, --off ends it",
        )
    unit.transaction.put(Table.META, layout.mode_key(remote.number, plane.number), mode.encode())


def mode_of(reader: Reader, remote: RemoteRow, plane: int) -> str:
    """How a plane is exchanged with a remote."""
    if not is_allowed(reader, remote.number, plane):
        return "off"
    kept = reader.get(Table.META, layout.mode_key(remote.number, plane))
    return remote.mode if kept is None else kept.decode()


def remotes_of(reader: Reader, plane: PlaneRow) -> list[RemoteRow]:
    """The remotes that a plane is exchanged with, by itself or when somebody asks.

    Raises:
        RefusedError: `not_found`: there is none; `denied`: the plane never leaves this machine.
    """
    number = SharedPlane(plane).number
    known = remotes(reader)
    found = [row for row in known if mode_of(reader, row, number) != "off"]
    if found:
        return found
    if not known:
        told, hint = "", "`moot remote add git URL` adds one"
    elif isolated_to(reader, number) is not None:
        told, hint = ": it is isolated", f"`moot plane isolate {plane.name} --to REMOTE` names one, --off ends it"
    else:
        told = f": {', '.join(f'{row.name} off' for row in known)}"
        hint = f"`moot plane set {plane.name} --remote {known[0].name} --mode auto` exchanges it"
    raise RefusedError(f"plane {plane.name} has no remote to be exchanged with{told}", code=Code.NOT_FOUND, hint=hint)


# -- Isolation ---------------------------------------------------------------------------------------------------
def isolate(unit: Unit, plane: SharedPlane, allowed: Iterable[RemoteRow] | None) -> None:
    """Let a plane be exchanged with these remotes only; for None with any again, as their modes say."""
    key = layout.isolated_key(plane.number)
    if allowed is None:
        unit.transaction.delete(Table.META, key)
        return
    numbers = sorted({row.number for row in allowed})
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(numbers))


def isolated_to(reader: Reader, plane: int) -> frozenset[int] | None:
    """The numbers of the remotes that an isolated plane is exchanged with; None for a plane that isn't isolated."""
    kept = reader.get(Table.META, layout.isolated_key(plane))
    return None if kept is None else frozenset(_decode_numbers(kept))


def is_allowed(reader: Reader, remote: int, plane: int) -> bool:
    """Whether a plane's frames may go to a remote, and come from it."""
    allowed = isolated_to(reader, plane)
    return allowed is None or remote in allowed


def check_allowed(reader: Reader, remote: int, plane: int) -> None:
    """Refuse to exchange an isolated plane with a remote that isn't named for it.

    Raises:
        RefusedError: `denied`.
    """
    if not is_allowed(reader, remote, plane):
        raise RefusedError("the plane is isolated from this remote", code=Code.DENIED, hint="see `moot plane show`")


def _check_mode(mode: str) -> None:
    if mode not in SYNC_MODES:
        raise RefusedError(f"{mode!r} is no way to exchange a plane; there are {', '.join(SYNC_MODES)}")
