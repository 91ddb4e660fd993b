"""Deciding on a request by what rules say of who asks: pure, but for ids, whose full names are looked up.

Invariants: everything that a request names has to be granted, in whatever form it was typed. What its answer shows is
either narrowed row by row, and then only where it looks must not be taken away; or granted as a whole; or denied to
whom some of it is hidden.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from typing import Any, Final, TypeAlias

from moot_protocol.access.rows import ALSO_SHOWN, BY_NAME, CHOOSING, NARROWED, Sight
from moot_protocol.access.rules import (
    EVERYTHING,
    READ_VERB,
    Decision,
    Rules,
    decide,
    may_some,
    restriction_of,
    restricts,
    sees_all,
)
from moot_protocol.access.table import PERMISSIONS, Named, Part, parts_of, permissions_of
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import KEY_BEGINNING_CHARS
from moot_protocol.limits import AUDIT_RESOURCES
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import Planes
from moot_protocol.requests.issues import ResolveIds
from moot_protocol.requests.leases import Rebalance
from moot_protocol.requests.membership import Replicas, RetireReplica, SettleFork, Towns

SHOWN: Final = PERMISSIONS[ResolveIds.method]
"""What the names of the issues that an id may mean are seen with."""
_NAMING_TOWNS: Final = frozenset({"member", "mail", "lease", "share", "federation"})
"""Subjects of permissions whose requests may name a town."""
_NAMING_REPLICAS: Final = frozenset({RetireReplica.method, SettleFork.method, Rebalance.method})
"""Methods of requests that may name a replica."""
_Called: TypeAlias = tuple[str, set[str]]
"""What something is called: its key or id, and its names."""
_WITH_LINES: Final = frozenset({"import", "import_edits"})


class Deciding:
    """Decides on what one subject asks.

    Args:
        rules: the rules.
        subject: who acts.
        read: answers a reading request.
    """

    def __init__(self, rules: Rules, subject: str, read: Callable[[Request[Any]], Any]) -> None:
        self._rules = rules
        self._subject = subject
        self._read = read

    # -- What is hidden ------------------------------------------------------------------------------------------
    def is_scoped(self, request: Request[Any]) -> bool:
        """Whether some of what a request may be about is hidden from the subject."""
        return not self.sees_all_of(*permissions_of(request), *ALSO_SHOWN.get(request.method, ()))

    def sees_all_of(self, *permissions: str) -> bool:
        """Whether nothing that these permissions are about is hidden."""
        return all(sees_all(self._rules, self._subject, permission) for permission in set(permissions))

    def sight(self) -> Sight:
        """What the subject may see."""

        @cache
        def sees(permission: str, *names: str) -> bool:
            if any(self._taken(permission, name) for name in names):
                return False
            return any(self._decide(permission, name).allowed for name in names)

        return sees

    # -- Decisions -----------------------------------------------------------------------------------------------
    def on(self, request: Request[Any], *, scoped: bool) -> Decision:
        """Whether a request passes: the first decision on anything of it that denies it, else the last one.

        Args:
            request: what is asked, with the actor filled in.
            scoped: whether some of what it may be about is hidden (`is_scoped`).
        """
        parts = parts_of(request)
        if sum(len(part.named) for part in parts) > AUDIT_RESOURCES:
            return Decision(False, f"it names more than {AUDIT_RESOURCES} things at once")
        if scoped and (taken := self._taken_by_lines(request, parts[0].permission)):
            return taken
        decision = Decision(False, "")
        for part in parts:
            for decision in self._on_part(part, request, scoped=scoped):
                if not decision.allowed:
                    return decision
        return decision

    def _on_part(self, part: Part, request: Request[Any], *, scoped: bool) -> Iterator[Decision]:
        if not scoped:
            return self._on_names(part)
        if part.method in NARROWED or part.method == request.method == CHOOSING:
            return self._on_rows(part)
        if part.method == CHOOSING:
            why = f"{self._subject} may not see everything, and `{CHOOSING}` takes what it finds"
            return iter((Decision(False, why),))
        if part.method == Rename.method != request.method:
            return iter((Decision(False, "a script could reach by a name that it gives what it can't by another"),))
        is_reading = not type(request).writes and part.permission.endswith(f":{READ_VERB}")
        if not is_reading or (part.method in BY_NAME and part.named):
            return self._on_names(part)
        return iter((Decision(False, f"{self._subject} may not see everything, and this can't be shown in part"),))

    def _on_names(self, part: Part) -> Iterator[Decision]:
        """The decisions on what is named: each id has to be granted, or else one other name, or else everything.

        An issue that is made has to be granted by such a name too, or as what the ids of its project begin with.
        """
        places = list(part.places)
        yield from self._on_ids(part)
        if part.makes_in:
            places.append(f"{part.makes_in}-")
            if taken := self._taken(part.permission, places[-1]):
                yield taken
        if part.makes_in or not any(each.is_id for each in part.named):
            found = [self._decide(part.permission, each) for each in places]
            found = found or [self._decide(part.permission, EVERYTHING)]
            yield next((each for each in found if each.allowed), found[0])

    def _on_rows(self, part: Part) -> Iterator[Decision]:
        """The decisions on what is narrowed to what may be seen: where it looks must only not be taken away."""
        yield may_some(self._rules, self._subject, part.permission)
        yield from self._on_ids(part)

    def _on_ids(self, part: Part) -> Iterator[Decision]:
        """The decisions on each id that is named, and the restrictions on everything else."""
        for each in part.named:
            if each.is_id:
                yield from self._on(part.permission, each)
            elif taken := self._taken(part.permission, each.text):
                yield taken
            if restricts(self._rules, self._subject):
                yield from self._on_other_names(part, each.text)

    def _on_other_names(self, part: Part, typed: str) -> Iterator[Decision]:
        """The restriction on what may be meant, by whatever else it could have been named; a town as `who@town` too."""
        names = _ways_to_name(typed, self._planes) if typed in part.planes else []
        if part.permission.partition(":")[0] in _NAMING_TOWNS:
            who, at, town = typed.rpartition("@")
            names += [f"{who}{at}{name}" for name in _ways_to_name(town, self._towns)]
        if part.method in _NAMING_REPLICAS:
            names += _ways_to_name(typed, self._replicas)
        if taken := self._first_taken(part.permission, names):
            yield taken

    @cached_property
    def _planes(self) -> list[_Called]:
        return [(row["plane"], {row["name"]}) for row in self._read(Planes())]

    @cached_property
    def _towns(self) -> list[_Called]:
        towns: dict[str, set[str]] = {}
        for row in self._read(Towns()):
            towns.setdefault(row["town"], set()).update(row["names"])
        return list(towns.items())

    @cached_property
    def _replicas(self) -> list[_Called]:
        return [(key, set()) for key in dict.fromkeys(row["replica"] for row in self._read(Replicas()))]

    def _on(self, permission: str, named: Named) -> Iterator[Decision]:
        """The decisions on one name: an id in full, since a rule about `secret-*` means the beginning of one too."""
        full = named.text
        if named.is_id:
            try:
                full = self._read(ResolveIds(ids=(named.text,)))[0]
            except MootError as error:  # it is none, or is made by this request: then it counts as it was typed
                if error.code is Code.AMBIGUOUS and not self.sees_all_of(permission, SHOWN):
                    yield Decision(False, "it may mean several issues, of which some may be hidden: the whole id tells")
            if full != named.text and (taken := self._taken(permission, named.text)):
                yield taken
        decision = self._decide(permission, full)
        if not decision.allowed and full != named.text and self._decide(permission, named.text).allowed:
            # A guess at a name, and had there been no such issue it would have been let pass to find that out.
            is_seen = self._decide(SHOWN, full).allowed
            decision = decision if is_seen else decision._replace(unseen=named.text)
        yield decision

    def _taken_by_lines(self, request: Request[Any], permission: str) -> Decision | None:
        """The restriction that takes away something that the lines of an import name, if one does."""
        if request.method not in _WITH_LINES:
            return None
        from moot_protocol.requests.imported_names import names_in_lines  # noqa: PLC0415 - a start need not load what reads lines

        return self._first_taken(permission, names_in_lines(request))

    def _first_taken(self, permission: str, names: Iterable[str]) -> Decision | None:
        found = (self._taken(permission, name) for name in names)
        return next((each for each in found if each is not None), None)

    def _taken(self, permission: str, name: str) -> Decision | None:
        return restriction_of(self._rules, self._subject, permission, name)

    def _decide(self, permission: str, name: str) -> Decision:
        return decide(self._rules, self._subject, permission, name)


def _ways_to_name(typed: str, among: Iterable[_Called]) -> list[str]:
    """All that names what may be meant: names, keys and beginnings of these, and both. Case doesn't count in rules."""
    meant = typed.casefold()
    found: list[str] = []
    for key, names in among:
        beginnings = [key[:chars] for chars in range(KEY_BEGINNING_CHARS, len(key) + 1)]
        ways = [*names, *beginnings, *(f"{name} {beginning}" for name in names for beginning in beginnings)]
        if meant in map(str.casefold, ways):
            found += ways
    return found
