"""Which issues a list holds: a filter as one predicate, and the index to walk for it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from heapq import merge
from operator import itemgetter
from typing import Final

from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import ALIAS, CLOSED
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.matching import Times, has_metadata, id_begins, like, time_tests
from moot_protocol.text.regex import searching
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.texts import text_of
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE, EDGE
from mootd.engine.stored.text_keys import through_text
from mootd.engine.views.entities import Entities

_KEY: Final = itemgetter(0)
Test = Callable[[Candidate], bool]
Projects = Mapping[tuple[int, str], int]
"""(plane, name) → number of every project."""
_TIMES: Final = Times[Candidate](
    lambda c: c.created_ms,
    lambda c: c.updated_ms,
    lambda c: c.facts.closed_ms,
    lambda c: c.facts.due_ms,
    lambda c: c.facts.defer_until_ms,
    lambda c: c.facts.status,
)


def tests_of(wanted: Filter, issues: Issues, now_ms: int) -> list[Test]:
    """The parts of a filter that are given, each as a test; cheap ones first."""
    tests: list[Test] = [
        *_choices(wanted),
        *_labels(wanted),
        *time_tests(wanted, _TIMES, now_ms),
        *_texts(wanted, issues),
        *_family(wanted, issues),
    ]
    return tests


def _choices(wanted: Filter) -> Iterator[Test]:
    if wanted.projects:
        projects = frozenset(wanted.projects)
        yield lambda c: c.facts.project in projects
    if wanted.statuses:
        statuses = frozenset(wanted.statuses)
        yield lambda c: c.facts.status in statuses
    if wanted.exclude_statuses:
        not_statuses = frozenset(wanted.exclude_statuses)
        yield lambda c: c.facts.status not in not_statuses
    if wanted.types:
        types = frozenset(wanted.types)
        yield lambda c: c.facts.issue_type in types
    if wanted.exclude_types:
        not_types = frozenset(wanted.exclude_types)
        yield lambda c: c.facts.issue_type not in not_types
    if wanted.priorities:
        priorities = frozenset(wanted.priorities)
        yield lambda c: c.facts.priority in priorities
    if wanted.assignee:
        yield lambda c: c.facts.assignee == wanted.assignee
    if wanted.unassigned:
        yield lambda c: not c.facts.assignee
    if wanted.pinned is not None:
        yield lambda c: c.facts.pinned == wanted.pinned


def _labels(wanted: Filter) -> Iterator[Test]:
    if wanted.labels:
        every = frozenset(wanted.labels)
        yield lambda c: every.issubset(c.facts.labels)
    if wanted.any_labels:
        some = frozenset(wanted.any_labels)
        yield lambda c: not some.isdisjoint(c.facts.labels)
    if wanted.exclude_labels:
        none = frozenset(wanted.exclude_labels)
        yield lambda c: none.isdisjoint(c.facts.labels)
    if wanted.no_labels:
        yield lambda c: not c.facts.labels
    if wanted.label_pattern:
        is_alike = like(wanted.label_pattern)
        yield lambda c: any(map(is_alike, c.facts.labels))
    if wanted.label_regex:
        is_found = searching(wanted.label_regex)
        yield lambda c: any(map(is_found, c.facts.labels))


def _texts(wanted: Filter, issues: Issues) -> Iterator[Test]:
    if wanted.ids:
        meant = frozenset(issues.names.resolve(typed)[0] for typed in wanted.ids)
        yield lambda c: c.record.entity in meant
    if wanted.title_contains:
        in_title = wanted.title_contains.casefold()
        yield lambda c: in_title in c.facts.title.casefold()
    if wanted.title_or_id:
        in_either = wanted.title_or_id.casefold()
        yield lambda c: in_either in c.facts.title.casefold() or any(id_begins(n, in_either) for n in _names(c))
    if wanted.text_contains:
        in_text = wanted.text_contains.casefold()
        in_description = _containing(issues, "description", in_text)
        yield lambda c: in_text in c.facts.title.casefold() or in_description(c)
    yield from _single_texts(wanted, issues)
    if wanted.metadata or wanted.has_metadata:
        yield lambda c: has_metadata(wanted, issues.document(c.record, texts=False).get("metadata", {}))


def _single_texts(wanted: Filter, issues: Issues) -> Iterator[Test]:
    for field, text in (("description", wanted.description_contains), ("notes", wanted.notes_contains)):
        if text:
            yield _containing(issues, field, text.casefold())
    if wanted.empty_description:
        yield lambda c: not text_of(issues, c.record, "description").strip()
    if wanted.spec:
        yield lambda c: _value(issues, c, "spec_id").startswith(wanted.spec)
    if wanted.external:
        yield lambda c: _value(issues, c, "external_ref") == wanted.external
    if wanted.external_contains:
        part = wanted.external_contains.casefold()
        yield lambda c: part in _value(issues, c, "external_ref").casefold()


def _value(issues: Issues, candidate: Candidate, field: str) -> str:
    return str(issues.read(candidate.record, texts=False).values.get(field, ""))


def _containing(issues: Issues, field: str, part: str) -> Test:
    return lambda candidate: part in text_of(issues, candidate.record, field).casefold()


def _names(candidate: Candidate) -> Iterator[str]:
    """An issue's id and alias, in small letters."""
    yield candidate.record.entity.casefold()
    yield from (str(sibling.value).casefold() for sibling in candidate.live.get(ALIAS, ()) if sibling.value)


def _family(wanted: Filter, issues: Issues) -> Iterator[Test]:
    if wanted.parent:
        family = descendants(issues, issues.names.resolve(wanted.parent)[1])
        yield lambda c: c.eid in family
    if wanted.no_parent:
        yield lambda c: all(edge_type != PARENT for _, edge_type, _ in issues.edges(EDGE, c.eid))


def descendants(issues: Issues, eid: int) -> set[int]:
    """The issues below a parent, at any depth."""
    found: set[int] = set()
    queue = [eid]
    while queue:
        for other, edge_type, _ in issues.edges(BACK_EDGE, queue.pop()):
            if edge_type == PARENT and other not in found:
                found.add(other)
                queue.append(other)
    return found


# -- Which index to walk -----------------------------------------------------------------------------------------
def project_numbers(projects: Projects, planes: Collection[int], wanted: Filter) -> list[int]:
    """The numbers of the projects that a list is about.

    Args:
        projects: every project there is.
        planes: the planes that the list covers.
        wanted: the filter.
    """
    names = wanted.projects
    found = {number for (plane, name), number in projects.items() if plane in planes and (not names or name in names)}
    return sorted(found)


def in_priority_order(issues: Issues, wanted: Filter, numbers: list[int], *, closed: bool) -> Iterator[int]:
    """Numbers of issues that may match, by priority and then newest first, from the narrowest index that has them.

    Args:
        issues: the issues.
        wanted: the filter.
        numbers: the projects' numbers.
        closed: whether closed issues are wanted, unless statuses are named.
    """
    if wanted.deleted:
        streams = [_scan(issues, layout.project_prefix(layout.DELETED, number)) for number in numbers]
    elif wanted.assignee or wanted.labels:
        streams = [
            _scan(issues, prefix + part)
            for number in numbers
            for prefix in (_narrow(number, wanted),)
            for part in ((b"\0", b"\1") if closed or CLOSED in wanted.statuses else (b"\0",))
        ]
    else:
        streams = [
            _scan(issues, key) for number in numbers for key in status_prefixes(issues, number, wanted, closed=closed)
        ]
    seen = -1
    for key in merge(*streams, key=layout.order_of):
        eid = layout.eid_of(key)
        if eid != seen:
            seen = eid
            yield eid


def _narrow(number: int, wanted: Filter) -> bytes:
    if wanted.assignee:
        return layout.text_prefix(layout.ASSIGNEE, number, wanted.assignee)
    return layout.text_prefix(layout.LABEL, number, wanted.labels[0])


def status_prefixes(issues: Issues, number: int, wanted: Filter, *, closed: bool) -> Iterator[bytes]:
    """What the keys of a project's issues begin with in the list by status: a prefix for each status that is wanted."""
    if wanted.statuses:
        yield from (layout.text_prefix(layout.STATUS, number, status) for status in wanted.statuses)
        return
    left_out = b"" if closed else layout.text_prefix(layout.STATUS, number, CLOSED)
    found = prefixes_below(issues.entities, layout.project_prefix(layout.STATUS, number))
    yield from (prefix for prefix in found if prefix != left_out)


def prefixes_below(entities: Entities, base: bytes) -> Iterator[bytes]:
    """What the keys of INDEX begin with that start so, through the text that follows: each once, whatever its number.

    Args:
        entities: the transaction.
        base: a `project_prefix`.
    """
    reader, index, start = entities.reader, entities.views.index, base
    while (key := next((key for key, _ in reader.scan(index, start, layout.after(base))), None)) is not None:
        prefix = through_text(key, len(base))
        yield prefix
        start = layout.after(prefix)


def _scan(issues: Issues, prefix: bytes) -> Iterator[bytes]:
    return map(_KEY, issues.entities.reader.scan(issues.entities.views.index, prefix, layout.after(prefix)))
