"""What people type for an issue, and how short an id can be shown.

Exact beats prefix, and an id an alias. The project's part may be left out, of a whole id, too; a prefix needs at least
4 characters beyond that part. Where issues of several planes may be meant nothing is guessed; `PLANE:ID` means one
plane's.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice, takewhile
from typing import NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import WISP, chars_shown
from moot_protocol.limits import ENTITY_BYTES, SHORT_ID_CHARS
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.planes import kept_planes, labels_of, plane_meant
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import decode_project
from mootd.engine.stored.text_keys import TEXT_KEY_BYTES
from mootd.engine.views.record import decode_named
from mootd.store.port import Reader, Table

_SHOWN_CANDIDATES = 5


def no_issue(typed: str) -> RefusedError:
    """What is said where nothing has the name that was typed."""
    return RefusedError(
        f"no issue {typed or repr(typed)}",
        code=Code.NOT_FOUND,
        hint=f"give the whole id, or at least {SHORT_ID_CHARS} characters of its random part",
    )


class Located(NamedTuple):
    """An issue that has a record, and where."""

    issue: str
    eid: int
    plane: int


class Names:
    """The ids of the issues of some planes inside a transaction.

    Args:
        reader: the transaction.
        views: which tables.
        planes: the planes' numbers.
    """

    def __init__(self, reader: Reader, views: Views, *planes: int) -> None:
        self._reader = reader
        self._views = views
        self._planes = planes

    def eid(self, issue: str) -> int | None:
        """The number of an issue that has a record, by its whole id; the first plane's, where several have it."""
        return next((found.eid for found in self.exactly(issue)), None)

    def exactly(self, issue: str) -> Iterator[Located]:
        """The issues that have this whole id: at most one a plane."""
        for plane in self._planes:
            found = self._reader.get(self._views.ids, layout.id_key(plane, ISSUE, issue))
            if found is not None and self._reader.get(self._views.records, found) is not None:
                yield Located(issue, int.from_bytes(found, "big"), plane)

    # -- What was typed ------------------------------------------------------------------------------------------
    def resolve(self, typed: str) -> tuple[str, int]:
        """The issue that was meant: (id, number).

        Raises:
            RefusedError: `not_found` or `ambiguous`.
        """
        issue, eid, _ = self.locate(typed)
        return issue, eid

    def locate(self, typed: str) -> Located:
        """The issue that was meant, with its plane.

        Raises:
            RefusedError: `not_found` or `ambiguous`.
        """
        found = (
            list(self.exactly(typed))
            or list(self.aliased(typed))
            or list(self._without_project(typed))
            or self._short(typed)
            or self._on_named_plane(typed)
        )
        if not found:
            raise no_issue(typed)
        if len(found) > 1:
            raise self._ambiguous(typed, found)
        return found[0]

    def _ambiguous(self, typed: str, found: list[Located]) -> RefusedError:
        shown = [each.issue for each in found[:_SHOWN_CANDIDATES]]
        hint = "type more of the id"
        if len({each.plane for each in found}) > 1:
            labels = labels_of(kept_planes(self._reader))
            shown = [f"{each.issue} on plane {labels[each.plane]}" for each in found[:_SHOWN_CANDIDATES]]
            hint = f"type more of the id, or its plane before it: {labels[found[0].plane]}:{found[0].issue}"
        more = "…" if len(found) > _SHOWN_CANDIDATES else ""
        several = f"{typed} may mean several issues"
        return RefusedError(f"{several}: {', '.join(shown)}{more}", code=Code.AMBIGUOUS, hint=hint, discreet=several)

    def aliased(self, typed: str) -> Iterator[Located]:
        """The issues that have this alias: one, unless two machines gave it at once."""
        if len(typed.encode("utf-8", "surrogatepass")) <= TEXT_KEY_BYTES:
            for plane in self._planes:
                yield from self._with_alias(plane, layout.aliases_prefix(plane, typed) + b"\0")

    def _with_alias(self, plane: int, start: bytes) -> Iterator[Located]:
        for key, _ in self._reader.scan(self._views.index, start, layout.after(start)):
            eid = layout.eid_of(key)
            packed = self._reader.get(self._views.records, layout.eid_key(eid))
            if packed is not None:
                yield Located(decode_named(packed).entity, eid, plane)

    def _without_project(self, typed: str) -> Iterator[Located]:
        """The issues whose whole id this is but for the project's part, and for the word that Beads' wisps have."""
        for plane in self._planes if 0 < len(typed) <= ENTITY_BYTES else ():
            for prefix in self._prefixes(plane):
                for issue in (prefix + typed, prefix + WISP + typed):
                    yield from Names(self._reader, self._views, plane).exactly(issue)

    def _short(self, typed: str) -> list[Located]:
        """The issues whose ids or aliases begin so, each once."""
        found = {each.eid: each for each in self._shortly(typed)}
        size = len(typed.encode("utf-8", "surrogatepass"))
        if len(typed.rpartition("-")[2]) >= SHORT_ID_CHARS and size <= TEXT_KEY_BYTES:
            for plane in self._planes:
                begun = self._with_alias(plane, layout.aliases_prefix(plane, typed))
                found |= {each.eid: each for each in islice(begun, _SHOWN_CANDIDATES + 1)}
        return list(found.values())

    def _shortly(self, typed: str) -> Iterator[Located]:
        """The issues whose ids begin so: of each plane and beginning, one more than are ever shown."""
        for plane in self._planes:
            for start in self._starts(plane, typed):
                yield from islice(self._from(plane, start), _SHOWN_CANDIDATES + 1)

    def shown_so(self, typed: str) -> Located | None:
        """The issue whose id is shown so, or shorter: who types that means it. None where it is nobody's."""
        for plane in self._planes:
            for start in self._starts(plane, typed):
                found = next(self._from(plane, start), None)
                if found is not None and len(start) >= self.unique_chars(found.issue):
                    return found
        return None

    def _on_named_plane(self, typed: str) -> list[Located]:
        """The issue that `PLANE:ID` means; nothing where there is no such plane."""
        plane, colon, rest = typed.partition(":")
        if not (plane and colon and rest):
            return []
        try:
            number = plane_meant(kept_planes(self._reader), plane).number
        except RefusedError:
            return []
        return [Names(self._reader, self._views, number).locate(rest)] if number in self._planes else []

    def _starts(self, plane: int, typed: str) -> Iterator[str]:
        head, hyphen, tail = typed.rpartition("-") if "-" in typed else (typed, "", "")
        if len(tail if hyphen else head) >= SHORT_ID_CHARS:
            yield typed
            for prefix in self._prefixes(plane):
                if not typed.startswith(prefix):
                    yield prefix + typed

    def _prefixes(self, plane: int) -> Iterator[str]:
        """What a plane's ids may start with: its projects, and what its ids have up to and with their first hyphen."""
        start = layout.projects_prefix(plane)
        projects = self._reader.scan(Table.META, start, layout.after(start))
        yield from {decode_project(value)[2] + "-": None for _, value in projects} | dict.fromkeys(
            self._first_parts(plane)
        )

    def _first_parts(self, plane: int) -> Iterator[str]:
        """What a plane's ids have up to and with their first hyphen: found by hopping, not by reading all."""
        base = layout.id_key(plane, ISSUE, "")
        start = base
        while True:
            key = next((key for key, _ in self._reader.scan(self._views.ids, start, layout.after(base))), None)
            if key is None:
                return
            prefix, hyphen, _ = layout.id_entity(key).partition("-")
            if hyphen:
                yield prefix + "-"
            start = layout.after(base + (prefix + hyphen).encode())

    def _from(self, plane: int, start: str) -> Iterator[Located]:
        """A plane's issues whose ids begin so."""
        base = layout.id_key(plane, ISSUE, "")
        rows = self._reader.scan(self._views.ids, base + start.encode(), layout.after(base))
        named = ((layout.id_entity(key), value) for key, value in rows)
        for issue, value in takewhile(lambda row: row[0].startswith(start), named):
            if self._reader.get(self._views.records, value) is not None:
                yield Located(issue, int.from_bytes(value, "big"), plane)

    # -- What is shown -------------------------------------------------------------------------------------------
    @property
    def scope(self) -> object | None:
        """What ids are told apart in, where none of them goes as long as this is the same; else None.

        Aliases can be taken back. An id that several planes have counts from when its issue has a record.
        """
        return None if self._has_aliases or len(self._planes) > 1 else (self._views.generation, self._planes)

    def unique_chars(self, issue: str, before: int = 0) -> int:
        """How many leading characters of an id tell it from all others of these planes, and look whole; else all.

        Args:
            issue: the id.
            before: how many they were earlier in this `scope`, or 0.
        """
        if before and (before == len(issue) or self._is_beginning_of_one(issue[:before])):
            return before
        common = self._common_with_aliases(issue) if self._has_aliases else 0
        for plane in self._planes:
            base = layout.id_key(plane, ISSUE, "")
            key = base + issue.encode()
            following = next((k for k, _ in self._reader.scan(self._views.ids, key + b"\0", layout.after(base))), b"")
            previous = next((k for k, _ in self._reader.scan(self._views.ids, base, key, reverse=True)), b"")
            for neighbour in (following, previous):
                if neighbour.startswith(base):
                    common = max(common, _common(issue, layout.id_entity(neighbour)))
        if len(self._planes) > 1 and sum(1 for _ in self.exactly(issue)) > 1:
            return len(issue)
        hyphen = issue.rfind("-") + 1
        return chars_shown(issue, max(common + 1, hyphen + SHORT_ID_CHARS))

    def _is_beginning_of_one(self, start: str) -> bool:
        starts = [layout.id_key(plane, ISSUE, start) for plane in self._planes]
        begun = chain.from_iterable(self._reader.scan(self._views.ids, key, layout.after(key)) for key in starts)
        return len(list(islice(begun, 2))) < 2

    @cached_property
    def _has_aliases(self) -> bool:
        return any(True for _ in self._reader.scan(self._views.index, layout.ALIAS, layout.after(layout.ALIAS)))

    def _common_with_aliases(self, issue: str) -> int:
        """How many leading characters an id has in common with the alias that is most like it, of another issue's."""
        common = 0
        for plane in self._planes:
            base, key = layout.aliases_prefix(plane), layout.aliases_prefix(plane, issue)
            for rows in (
                self._reader.scan(self._views.index, key, layout.after(base)),
                self._reader.scan(self._views.index, base, key, reverse=True),
            ):
                common = max([common, *(_common(issue, layout.alias_parts(found)[0]) for found, _ in islice(rows, 1))])
        return common


def _common(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
