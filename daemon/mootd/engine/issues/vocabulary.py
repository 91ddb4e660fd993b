"""The statuses and types of a project's own: what its settings, else the town's, say that there are.

Invariant: a setting only says what may be written and which lists show it. No record, index or standing follows from
one, so that machines that have read different settings still agree on all of these; and a name that a setting no
longer has stays on the issues that bear it.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.errors import RefusedError
from moot_protocol.issues.settings import STATUSES, TYPES, custom_types
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import SETTING, field_of
from moot_protocol.requests.matching import STATUS_KEY, own_statuses
from mootd.engine.stored import layout
from mootd.engine.views.entities import Entities

TYPE_KEY: Final = "types.custom"
"""The setting that says which types a project has of its own; which statuses: `STATUS_KEY`."""
ACTIVE: Final = "active"
"""The category of statuses whose issues are ready as open ones are."""


class Vocabulary(NamedTuple):
    """What a project has beside the statuses and types of every project."""

    statuses: Mapping[str, str]
    """Name → category, empty where none was given."""
    types: frozenset[str]

    def refuse_status(self, name: str) -> None:
        """Refuse a status that nobody has.

        Raises:
            RefusedError: `invalid`.
        """
        _refuse(name, STATUSES.union(self.statuses), "status", STATUS_KEY)

    def refuse_type(self, name: str) -> None:
        """Refuse an issue type that nobody has.

        Raises:
            RefusedError: `invalid`.
        """
        _refuse(name, TYPES | self.types, "issue type", TYPE_KEY)


def _refuse(name: str, known: frozenset[str], what: str, key: str) -> None:
    if name not in known:
        hint = f"one of {', '.join(sorted(known))}; `moot config set {key}` adds your own"
        raise RefusedError(f"{name!r} is no {what}", hint=hint)


class Vocabularies:
    """The vocabularies of projects inside a transaction; statuses, which lists ask for again and again, are read once.

    Args:
        entities: the transaction.
        ledger: the plane on which the town's settings stand.
    """

    def __init__(self, entities: Entities, ledger: int) -> None:
        self._entities = entities
        self._ledger = ledger
        self._statuses: dict[tuple[int, str], Mapping[str, str]] = {}

    def of(self, plane: int, project: str) -> Vocabulary:
        """The vocabulary of a project."""
        return Vocabulary(self.statuses(plane, project), frozenset(self._types(plane, project)))

    def statuses(self, plane: int, project: str) -> Mapping[str, str]:
        """A project's own statuses: name → category."""
        found = self._statuses.get((plane, project))
        if found is None:
            found = self._statuses[plane, project] = own_statuses(self._setting(plane, project, STATUS_KEY))
        return found

    def _types(self, plane: int, project: str) -> list[str]:
        """A project's own types; none where they were written by a newer release's rules."""
        try:
            return custom_types(self._setting(plane, project, TYPE_KEY))
        except RefusedError:
            return []

    def _setting(self, plane: int, project: str, key: str) -> str:
        """What the project says, else the town; empty where neither says anything."""
        return self._text(plane, f"{project}/{key}") or self._text(self._ledger, f"/{key}")

    def _text(self, plane: int, entity: str) -> str:
        eid = self._entities.reader.get(self._entities.views.ids, layout.id_key(plane, SETTING, entity))
        record = None if eid is None else self._entities.record(int.from_bytes(eid, "big"))
        if record is None:
            return ""
        siblings: Any = self._entities.live(record).get("value", [])
        lineage = self._entities.lineage(record, "value")
        value = policies.read(field_of(SETTING, "value").policy, siblings, lineage).value
        return value if isinstance(value, str) else ""
