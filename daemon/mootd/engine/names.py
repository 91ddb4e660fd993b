"""What people type for an issue, and how short an id can be shown.

Exact beats prefix. A prefix needs at least 4 characters beyond the project's part; the project's part may be left out.
"""

from collections.abc import Iterator

from moot_protocol.errors import Code, RefusedError
from moot_protocol.kinds import ISSUE
from moot_protocol.limits import SHORT_ID_CHARS
from mootd.engine import layout
from mootd.engine.layout import Views
from mootd.engine.log import decode_project
from mootd.store.port import Reader, Table

_SHOWN_CANDIDATES = 5


class Names:
    """The ids of one plane's issues inside a transaction."""

    def __init__(self, reader: Reader, views: Views, plane: int) -> None:
        self._reader = reader
        self._views = views
        self._plane = plane

    def eid(self, issue: str) -> int | None:
        """The number of an issue that has a record, by its whole id."""
        found = self._reader.get(self._views.ids, layout.id_key(self._plane, ISSUE, issue))
        if found is None or self._reader.get(self._views.records, found) is None:
            return None
        return int.from_bytes(found, "big")

    def resolve(self, typed: str) -> tuple[str, int]:
        """The issue that was meant: (id, number).

        Raises:
            RefusedError: `not_found` or `ambiguous`.
        """
        eid = self.eid(typed)
        if eid is not None:
            return typed, eid
        found: list[tuple[str, int]] = []
        for start in self._starts(typed):
            for candidate in self._from(start):
                if not candidate[0].startswith(start):
                    break
                found.append(candidate)
                if len(found) > _SHOWN_CANDIDATES:
                    break
        if not found:
            raise RefusedError(
                f"no issue {typed}",
                code=Code.NOT_FOUND,
                hint=f"give the whole id, or at least {SHORT_ID_CHARS} characters of its random part",
            )
        if len(found) > 1:
            several = ", ".join(issue for issue, _ in found[:_SHOWN_CANDIDATES])
            raise RefusedError(
                f"{typed} may mean several issues: {several}{'…' if len(found) > _SHOWN_CANDIDATES else ''}",
                code=Code.AMBIGUOUS,
                hint="type more of the id",
            )
        return found[0]

    def _starts(self, typed: str) -> Iterator[str]:
        head, hyphen, tail = typed.rpartition("-") if "-" in typed else (typed, "", "")
        if len(tail if hyphen else head) >= SHORT_ID_CHARS:
            yield typed
            for prefix in self._prefixes():
                if not typed.startswith(prefix):
                    yield prefix + typed

    def _prefixes(self) -> Iterator[str]:
        """What ids may start with: the projects, and what the plane's ids have up to and with their first hyphen."""
        projects = self._reader.scan(Table.META, layout.PROJECTS, layout.after(layout.PROJECTS))
        yield from {decode_project(value)[1] + "-": None for _, value in projects} | dict.fromkeys(self._first_parts())

    def _first_parts(self) -> Iterator[str]:
        """What the plane's ids have up to and with their first hyphen: found by hopping, not by reading all."""
        base = layout.id_key(self._plane, ISSUE, "")
        start = base
        while True:
            key = next((key for key, _ in self._reader.scan(self._views.ids, start, layout.after(base))), None)
            if key is None:
                return
            prefix, hyphen, _ = layout.id_entity(key).partition("-")
            if hyphen:
                yield prefix + "-"
            start = layout.after(base + (prefix + hyphen).encode())

    def _from(self, start: str) -> Iterator[tuple[str, int]]:
        base = layout.id_key(self._plane, ISSUE, "")
        for key, value in self._reader.scan(self._views.ids, base + start.encode(), layout.after(base)):
            if self._reader.get(self._views.records, value) is not None:
                yield layout.id_entity(key), int.from_bytes(value, "big")

    def unique_chars(self, issue: str) -> int:
        """How many leading characters of an id tell it from all others of its plane."""
        base = layout.id_key(self._plane, ISSUE, "")
        key = base + issue.encode()
        common = 0
        following = next((k for k, _ in self._reader.scan(self._views.ids, key + b"\0", layout.after(base))), b"")
        before = next((k for k, _ in self._reader.scan(self._views.ids, base, key, reverse=True)), b"")
        for neighbour in (following, before):
            if neighbour.startswith(base):
                common = max(common, _common(issue, layout.id_entity(neighbour)))
        hyphen = issue.rfind("-") + 1
        return min(len(issue), max(common + 1, hyphen + SHORT_ID_CHARS))


def _common(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
