"""What a query means: its tree as a test of one issue, and the narrowest index that has all it can find.

Invariant: the index never decides. Whatever is walked, every issue is asked the whole query, so that a condition which
no index serves only makes a query slower.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED, IssueReading
from moot_protocol.issues.query import FIELDS, METADATA, NONE, And, Compare, Moment, Node, Not, Sort, mentions, parse
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.matching import like
from moot_protocol.requests.queries import Query
from moot_protocol.text import json_text
from moot_protocol.time_units import DAY_MS
from moot_protocol.times import instant_ms
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import Test, project_numbers
from mootd.engine.listing.lists import Lists, sort_key
from mootd.engine.listing.texts import text_of
from mootd.engine.stored import layout
from mootd.engine.views.standing import BLOCKED, is_ephemeral

_MOST_MS: Final = 2**62
"""Beyond every time that an index holds."""


class Subject:
    """An issue that a query is asked of: what few queries need is read when it is asked for, once."""

    def __init__(self, issues: Issues, candidate: Candidate) -> None:
        self._issues = issues
        self.candidate = candidate

    @cached_property
    def short(self) -> IssueReading:
        """What the issue's record shows by itself."""
        return self._issues.read(self.candidate.record, texts=False)

    @cached_property
    def whole(self) -> IssueReading:
        """What the issue shows, texts and comments included."""
        return self._issues.read(self.candidate.record)

    def text(self, field: str) -> Sequence[str]:
        """A long text; none where it is empty."""
        return _word(text_of(self._issues, self.candidate.record, field))

    @property
    def is_blocked(self) -> bool:
        """Whether something holds it up."""
        return bool(self._issues.standing(self.candidate.eid).flags & BLOCKED)

    def further(self, name: str) -> Any:
        """A field that is no issue's here and was imported; None if there is none."""
        return _decoded(self.whole.extra.get(name))

    def metadata(self, name: str) -> Sequence[str]:
        """The metadata of one name, as text."""
        value = _decoded(self.short.metadata.get(name))
        return () if value is None else (value if isinstance(value, str) else json_text.to_text(value),)


Ask = Callable[[Subject], bool]


def _decoded(text: str | None) -> Any:
    try:
        return None if text is None else json_text.from_text(text)
    except (ValueError, TypeError):
        return None


def _word(value: Any) -> Sequence[str]:
    return (value,) if isinstance(value, str) and value else ()


_WORDS: Final[dict[str, Callable[[Subject], Sequence[str]]]] = {
    "id": lambda s: (s.candidate.record.entity,),
    "status": lambda s: (s.candidate.facts.status,),
    "type": lambda s: (s.candidate.facts.issue_type,),
    "assignee": lambda s: _word(s.candidate.facts.assignee),
    "owner": lambda s: _word(s.short.values.get("owner")),
    "creator": lambda s: _word(s.short.values.get("created_by")),
    "label": lambda s: s.candidate.facts.labels,
    "project": lambda s: _word(s.candidate.facts.project),
    "parent": lambda s: [edge.to for edge in s.short.edges if edge.type == PARENT],
    "spec": lambda s: _word(s.short.values.get("spec_id")),
    "ref": lambda s: _word(s.short.values.get("external_ref")),
    "mol_type": lambda s: _word(s.further("mol_type")) or s.metadata("mol_type"),
}
_TEXTS: Final[dict[str, Callable[[Subject], Sequence[str]]]] = {
    "title": lambda s: _word(s.candidate.facts.title),
    "description": lambda s: s.text("description"),
    "design": lambda s: s.text("design"),
    "acceptance": lambda s: s.text("acceptance_criteria"),
    "notes": lambda s: s.text("notes"),
    "comment": lambda s: [comment.text for comment in s.whole.comments],
    "reason": lambda s: _word(s.short.values.get("close_reason")),
}
_NUMBERS: Final[dict[str, Callable[[Subject], int | None]]] = {
    "priority": lambda s: s.candidate.facts.priority,
    "estimate": lambda s: s.short.values.get("estimated_minutes"),
    "created": lambda s: s.candidate.created_ms,
    "updated": lambda s: s.candidate.updated_ms,
    "started": lambda s: instant_ms(s.short.values.get("started_at")),
    "closed": lambda s: s.candidate.facts.closed_ms,
    "due": lambda s: s.candidate.facts.due_ms,
    "defer": lambda s: s.candidate.facts.defer_until_ms,
    "pinned": lambda s: int(s.candidate.facts.pinned),
    "ephemeral": lambda s: int(s.candidate.facts.ephemeral),
    "template": lambda s: int(s.further("is_template") is True),
    "blocked": lambda s: int(s.is_blocked),
}
_ORDERS: Final[dict[str, Callable[[int, int], bool]]] = {
    "=": lambda have, asked: have == asked,
    "<": lambda have, asked: have < asked,
    "<=": lambda have, asked: have <= asked,
    ">": lambda have, asked: have > asked,
    ">=": lambda have, asked: have >= asked,
}


# -- Meaning -----------------------------------------------------------------------------------------------------
def compiled(node: Node, issues: Issues, now_ms: int) -> Ask:
    """A tree as a question to one issue.

    Raises:
        RefusedError: `ambiguous`: an id or a parent that may mean several issues.
    """
    if isinstance(node, Compare):
        return _comparison(node, issues, now_ms)
    if isinstance(node, Not):
        inner = compiled(node.part, issues, now_ms)
        return lambda subject: not inner(subject)
    parts = [compiled(part, issues, now_ms) for part in node.parts]
    if isinstance(node, And):
        return lambda subject: all(part(subject) for part in parts)
    return lambda subject: any(part(subject) for part in parts)


def _comparison(node: Compare, issues: Issues, now_ms: int) -> Ask:
    if node.operator in {"!=", "!~"}:
        inner = _comparison(node._replace(operator=node.operator[1:]), issues, now_ms)
        return lambda subject: not inner(subject)
    sort = FIELDS.get(node.field, Sort.WORD)
    if sort is Sort.TIME:
        return _time(node, now_ms)
    if isinstance(node.value, int):
        number, read, order = node.value, _NUMBERS[node.field], _ORDERS[node.operator]
        return lambda subject: (have := read(subject)) is not None and order(have, number)
    if sort is Sort.TEXT or node.operator == "~":
        return _containing(node)
    return _equal(node, issues)


def _time(node: Compare, now_ms: int) -> Ask:
    read = _NUMBERS[node.field]
    if not isinstance(node.value, Moment):
        return lambda subject: read(subject) is None
    asked = node.value.at(now_ms)
    if node.operator == "=":
        day = asked // DAY_MS
        return lambda subject: (have := read(subject)) is not None and have // DAY_MS == day
    order = _ORDERS[node.operator]
    return lambda subject: (have := read(subject)) is not None and order(have, asked)


def _values_of(field: str) -> Callable[[Subject], Sequence[str]]:
    if field.startswith(METADATA):
        name = field.removeprefix(METADATA)
        return lambda subject: subject.metadata(name)
    return _TEXTS[field] if field in _TEXTS else _WORDS[field]


def _containing(node: Compare) -> Ask:
    read, part = _values_of(node.field), node.text.casefold()
    if part == NONE and node.operator == "=":
        return lambda subject: not read(subject)
    return lambda subject: any(part in value.casefold() for value in read(subject))


def _equal(node: Compare, issues: Issues) -> Ask:
    read, text = _values_of(node.field), node.text
    if text.lower() == NONE:
        return lambda subject: not read(subject)
    if "*" in text:
        matches = like(text)
        return lambda subject: any(matches(value) for value in read(subject))
    if node.field in {"id", "parent"}:
        text = _meant(issues, text)
    return lambda subject: text in read(subject)


def _meant(issues: Issues, typed: str) -> str:
    """The whole id of what was typed; itself where it means no issue."""
    if any(issues.names.exactly(typed)):
        return typed
    try:
        return issues.names.resolve(typed)[0]
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return typed


# -- Which index to walk -----------------------------------------------------------------------------------------
def choices(node: Node, field: str) -> frozenset[str] | None:
    """The values one of which a field must have for a query to hold; None where it may have any."""
    if isinstance(node, Compare):
        plain = node.field == field and node.operator == "=" and "*" not in node.text and node.text.lower() != NONE
        return frozenset({node.text}) if plain else None
    if isinstance(node, Not):
        return None
    found = [choices(part, field) for part in node.parts]
    known = [values for values in found if values is not None]
    if isinstance(node, And):
        return min(known, key=len, default=None)
    return frozenset().union(*known) if len(known) == len(found) else None


def newer_than(node: Node, now_ms: int) -> int | None:
    """A time that an issue's last change must not lie before for a query to hold; None where it may."""
    if isinstance(node, Compare):
        later = node.field == "updated" and node.operator in {">", ">="} and isinstance(node.value, Moment)
        return node.value.at(now_ms) if later and isinstance(node.value, Moment) else None
    if not isinstance(node, And):
        return None
    bounds = (newer_than(part, now_ms) for part in node.parts)
    return max((bound for bound in bounds if bound is not None), default=None)


def wants_ephemeral(node: Node) -> bool:
    """Whether an issue must be ephemeral for a query to hold."""
    if isinstance(node, Compare):
        return (node.field, node.operator, node.value) == ("ephemeral", "=", 1)
    return isinstance(node, And) and any(map(wants_ephemeral, node.parts))


class QueryLists(Lists):
    """Answers queries from one snapshot."""

    def query(self, request: Query) -> Page:
        """The issues that a query finds."""
        tree = parse(request.text)
        ask = compiled(tree, self._issues, self._now_ms)
        closed = request.all or mentions(tree, "status", "closed", "reason")
        eids, in_order = self._walk(tree, Filter(projects=request.projects), closed=closed)
        found = self._matching(eids, [*_place(request, closed=closed), self._test(ask)])
        if request.sort == "priority" and in_order and not request.reverse:
            return self._page(found, request.limit, texts=request.texts)
        return self._sorted_page(found, sort_key(request.sort), request, reverse=request.reverse)

    def _test(self, ask: Ask) -> Test:
        return lambda candidate: ask(Subject(self._issues, candidate))

    def _walk(self, tree: Node, wanted: Filter, *, closed: bool) -> tuple[Iterator[int], bool]:
        """The numbers of all issues that a query may find, and whether they come by priority."""
        named = choices(tree, "id")
        if named is not None:
            names = {_meant(self._issues, text) for text in named}
            return iter(sorted({found.eid for name in names for found in self._issues.names.exactly(name)})), False
        assignees, labels = choices(tree, "assignee") or (), choices(tree, "label") or ()
        if len(assignees) == 1 or len(labels) == 1:
            if len(assignees) == 1:
                (wanted.assignee,) = assignees
            else:
                wanted.labels = tuple(labels)
        elif (since := newer_than(tree, self._now_ms)) is not None:
            return self._changed_since(wanted, since), False
        elif wants_ephemeral(tree):
            return self._ephemeral(), False
        else:
            wanted.statuses = tuple(sorted(choices(tree, "status") or ()))
        return self._in_priority_order(wanted, closed=closed), True

    def _ephemeral(self) -> Iterator[int]:
        """The ephemeral issues of any project: standings are gone through, which is less work than records."""
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        rows = reader.scan(index, layout.STANDING, layout.after(layout.STANDING))
        return (layout.eid_of(key) for key, packed in rows if is_ephemeral(packed))

    def _changed_since(self, wanted: Filter, since_ms: int) -> Iterator[int]:
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        for number in project_numbers(self._projects, self._issues.planes, wanted):
            start = layout.timed_key(layout.UPDATED, number, min(max(since_ms, 0), _MOST_MS), 0)
            stop = layout.after(layout.project_prefix(layout.UPDATED, number))
            yield from (layout.eid_of(key) for key, _ in reader.scan(index, start, stop))


def _place(request: Query, *, closed: bool) -> Iterator[Test]:
    """What a query's issues must be beside what it says itself."""
    yield lambda candidate: not candidate.facts.is_deleted
    if request.projects:
        projects = frozenset(request.projects)
        yield lambda candidate: candidate.facts.project in projects
    if not closed:
        yield lambda candidate: candidate.facts.status != CLOSED
