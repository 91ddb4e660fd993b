"""Planes as people speak of them: which of them hold issues, which one is meant, and what each is called.

Invariant: what is written as a plane's label leads back to that plane, and names of planes need not be unique: those
that are joined bring theirs along.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import PROJECT
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.state import State, no_town
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow, decode_plane
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

ISSUE_KINDS: Final = frozenset({PlaneKind.LEDGER.value, PlaneKind.FEDERATION.value})
"""The kinds of planes that hold issues."""
_ID_CHARS: Final = 4
"""Least hexadecimal characters that stand for a plane."""
_SHOWN_CHARS: Final = 8


def issue_planes(planes: Mapping[int, PlaneRow]) -> list[PlaneRow]:
    """The planes that hold issues, by number: the machine's first ledger comes before those it joined later."""
    return [planes[number] for number in sorted(planes) if planes[number].kind in ISSUE_KINDS]


def clashing_prefixes(replica: State, reader: Reader) -> dict[str, list[int]]:
    """Issue prefixes that several planes have → the planes' numbers, ascending: there an id doesn't tell its plane."""
    ids = replica.views_of(reader).ids
    found: dict[str, set[int]] = {}
    for plane, project in list(replica.projects):
        found.setdefault(project, set()).add(plane)
    for row in issue_planes(replica.planes):
        prefix = layout.id_key(row.number, PROJECT, "")
        for key, _ in reader.scan(ids, prefix, layout.after(prefix)):
            found.setdefault(layout.id_entity(key), set()).add(row.number)
    return {project: sorted(planes) for project, planes in sorted(found.items()) if project and len(planes) > 1}


def kept_planes(reader: Reader) -> list[PlaneRow]:
    """All planes, as the store has them inside a transaction."""
    rows = reader.scan(Table.META, layout.PLANES, layout.after(layout.PLANES))
    return [decode_plane(value) for _, value in rows]


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


def plane_meant(planes: Iterable[PlaneRow], typed: str) -> PlaneRow:
    """The plane that is named: by its name, or by the beginning of its id in hexadecimal.

    Raises:
        RefusedError: `not_found` or `ambiguous`.
    """
    rows = list(planes)
    found = [row for row in rows if row.name == typed]
    if not found and len(typed) >= _ID_CHARS:
        found = [row for row in rows if row.id.hex().startswith(typed.lower())]
    if not found:
        raise RefusedError(f"there is no plane {typed}", code=Code.NOT_FOUND, hint="`moot plane list` shows them all")
    if len(found) > 1:
        several = ", ".join(row.id.hex()[:_SHOWN_CHARS] for row in found)
        raise RefusedError(
            f"{typed} may mean several planes: {several}",
            code=Code.AMBIGUOUS,
            hint="name it by its id instead",
            discreet=f"{typed} may mean several planes",
        )
    return found[0]


def issue_plane_meant(planes: Mapping[int, PlaneRow], typed: str) -> PlaneRow:
    """The plane that is named, which must be one that holds issues.

    Raises:
        RefusedError: `not_found` or `ambiguous`; `invalid` for a plane that holds none.
    """
    row = plane_meant(planes.values(), typed)
    if row.kind not in ISSUE_KINDS:
        raise RefusedError(f"plane {row.name} holds no issues", hint="name a ledger or a federation plane")
    return row


def labels_of(planes: Sequence[PlaneRow]) -> dict[int, str]:
    """What to call each plane: its name, or the beginning of its id where another has the same name."""
    names = [row.name for row in planes]
    return {row.number: row.name if names.count(row.name) == 1 else row.id.hex()[:_SHOWN_CHARS] for row in planes}
