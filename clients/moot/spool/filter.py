"""A filter over the issues of a snapshot: the same meaning as the daemon's, read from whole documents.

What would need more than a snapshot holds is refused, never passed over: a list that is silently too long or too short
is worse than none.
"""

from collections.abc import Callable, Iterator
from typing import Final

from moot.console.text import when
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import ID_CHARS, WISP
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.limits import SHORT_ID_CHARS
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.matching import Times, has_metadata, id_begins, like, time_tests
from moot_protocol.spool.snapshot_file import Snapshot
from moot_protocol.text.regex import searching
from moot_protocol.times import instant_ms

_BRIEF_MS: Final = 120_000
"""Age that is told in seconds."""

Test = Callable[[IssueDoc], bool]
_TIMES: Final = Times[IssueDoc](
    lambda issue: instant_ms(issue.get("created_at")),
    lambda issue: instant_ms(issue.get("updated_at")),
    lambda issue: instant_ms(issue.get("closed_at")),
    lambda issue: instant_ms(issue.get("due_at")),
    lambda issue: instant_ms(issue.get("defer_until")),
    lambda issue: issue["status"],
)


def cannot(what: str) -> RefusedError:
    """The refusal of what a snapshot doesn't tell."""
    return RefusedError(
        f"the snapshot can't answer {what}",
        code=Code.UNREACHABLE,
        hint="run it outside the sandbox, where the daemon can be asked",
    )


# -- Which issue is meant ----------------------------------------------------------------------------------------
def find(snapshot: Snapshot, typed: str, now_ms: int) -> IssueDoc:
    """The issue that was meant by what was typed: a whole id, an alias, or the unique start of one.

    Args:
        snapshot: the snapshot.
        typed: what was typed.
        now_ms: the wall clock, for how old the snapshot is.

    Raises:
        RefusedError: `not_found`, `ambiguous`.
    """
    if typed in snapshot.issues:
        return snapshot.issues[typed]
    aliased = [issue for issue in snapshot.issues.values() if issue.get("_alias") == typed]
    found = aliased or _without_project(snapshot, typed) or list(_begun(snapshot, typed).values())
    if len(found) == 1:
        return found[0]
    if not found:
        raise _not_there(snapshot, typed, now_ms)
    shown = ", ".join(sorted(issue["id"] for issue in found)[:5])
    raise RefusedError(f"{typed} may mean several issues: {shown}", code=Code.AMBIGUOUS, hint="type more of the id")


def _not_there(snapshot: Snapshot, typed: str, now_ms: int) -> RefusedError:
    more = f"; it leaves {snapshot.left_out} issues out" if snapshot.left_out else ""
    hint = f"give the whole id, or at least {SHORT_ID_CHARS} characters of its random part"
    if is_whole_id(snapshot.project, typed):
        hint = "what was just written may be missing: try again in a moment, or ask outside the sandbox"
        more = f", which is {age_of(snapshot, now_ms)} old{more}"
    return RefusedError(f"no issue {typed} in the snapshot{more}", code=Code.NOT_FOUND, hint=hint)


def age_of(snapshot: Snapshot, now_ms: int) -> str:
    """How old a snapshot is, in words."""
    return lasted(max(now_ms - snapshot.made_ms, 0))


def lasted(ms: int) -> str:
    """How long something has lasted, in words."""
    return f"{ms // 1000} s" if ms < _BRIEF_MS else when.lasted(ms)


def _without_project(snapshot: Snapshot, typed: str) -> list[IssueDoc]:
    """The issues whose whole id this is but for the project's part, and for the word that Beads' wisps have."""
    wholes = {typed, f"{WISP}{typed}"} if typed else set()
    project = f"{snapshot.project}-"
    return [
        issue
        for name, issue in snapshot.issues.items()
        if name.removeprefix(project) in wholes or name.partition("-")[2] in wholes
    ]


def _begun(snapshot: Snapshot, typed: str) -> dict[str, IssueDoc]:
    if len(typed.rpartition("-")[2]) < SHORT_ID_CHARS:
        return {}
    found = {}
    for name, issue in snapshot.issues.items():
        prefix, hyphen, _ = name.partition("-")
        starts = (typed, f"{snapshot.project}-{typed}", f"{prefix}{hyphen}{typed}")
        if name.startswith(starts) or str(issue.get("_alias", "")).startswith(typed):
            found[name] = issue
    return found


def is_whole_id(snapshot_project: str, typed: str) -> bool:
    """Whether this is a new issue's id in full: one that was made a moment ago may not be in the snapshot yet."""
    return typed.startswith(f"{snapshot_project}-") and len(typed) == len(snapshot_project) + 1 + ID_CHARS


# -- Filters -----------------------------------------------------------------------------------------------------
def tests_of(snapshot: Snapshot, wanted: Filter, now_ms: int) -> list[Test]:
    """The parts of a filter that are given, each as a test.

    Raises:
        RefusedError: `unreachable` for what a snapshot doesn't tell; `not_found`, `ambiguous`.
    """
    if wanted.deleted:
        raise cannot("what was deleted")
    if wanted.plane and not snapshot.plane.startswith(wanted.plane):
        raise cannot(f"what plane {wanted.plane} holds")
    if set(wanted.projects) - {snapshot.project}:
        raise cannot(f"what other projects than {snapshot.project} hold")
    return [
        *_choices(wanted),
        *_labels(wanted),
        *time_tests(wanted, _TIMES, now_ms),
        *_texts(wanted),
        *_metadata(wanted),
        *_family(snapshot, wanted, now_ms),
    ]


def _choices(wanted: Filter) -> Iterator[Test]:
    if wanted.statuses:
        yield lambda issue: issue["status"] in wanted.statuses
    if wanted.exclude_statuses:
        yield lambda issue: issue["status"] not in wanted.exclude_statuses
    if wanted.types:
        yield lambda issue: issue["issue_type"] in wanted.types
    if wanted.exclude_types:
        yield lambda issue: issue["issue_type"] not in wanted.exclude_types
    if wanted.priorities:
        yield lambda issue: issue["priority"] in wanted.priorities
    if wanted.assignee:
        yield lambda issue: issue.get("assignee", "") == wanted.assignee
    if wanted.unassigned:
        yield lambda issue: not issue.get("assignee")
    if wanted.pinned is not None:
        yield lambda issue: (issue.get("pinned") is True) == wanted.pinned


def _labels(wanted: Filter) -> Iterator[Test]:
    if wanted.labels:
        yield lambda issue: set(wanted.labels) <= _labels_of(issue)
    if wanted.any_labels:
        yield lambda issue: bool(set(wanted.any_labels) & _labels_of(issue))
    if wanted.exclude_labels:
        yield lambda issue: not set(wanted.exclude_labels) & _labels_of(issue)
    if wanted.no_labels:
        yield lambda issue: not _labels_of(issue)
    if wanted.label_pattern:
        is_alike = like(wanted.label_pattern)
        yield lambda issue: any(map(is_alike, _labels_of(issue)))
    if wanted.label_regex:
        is_found = searching(wanted.label_regex)
        yield lambda issue: any(map(is_found, _labels_of(issue)))


def _labels_of(issue: IssueDoc) -> set[str]:
    return set(issue.get("labels", ()))


def _texts(wanted: Filter) -> Iterator[Test]:
    for text, fields in (
        (wanted.title_contains, ("title",)),
        (wanted.text_contains, ("title", "description")),
        (wanted.description_contains, ("description",)),
        (wanted.notes_contains, ("notes",)),
    ):
        if text:
            yield _containing(text.casefold(), fields)
    if wanted.title_or_id:
        either = wanted.title_or_id.casefold()
        yield lambda issue: either in issue["title"].casefold() or id_begins(issue["id"].casefold(), either)
    if wanted.empty_description:
        yield lambda issue: not str(issue.get("description", "")).strip()
    if wanted.spec:
        yield lambda issue: str(issue.get("spec_id", "")).startswith(wanted.spec)
    if wanted.external:
        yield lambda issue: issue.get("external_ref") == wanted.external
    if wanted.external_contains:
        yield _containing(wanted.external_contains.casefold(), ("external_ref",))


def _containing(text: str, fields: tuple[str, ...]) -> Test:
    return lambda issue: any(text in str(issue.get(field, "")).casefold() for field in fields)


def _metadata(wanted: Filter) -> Iterator[Test]:
    if wanted.metadata or wanted.has_metadata:
        yield lambda issue: has_metadata(wanted, issue.get("metadata", {}))


# -- Parents -----------------------------------------------------------------------------------------------------
def _family(snapshot: Snapshot, wanted: Filter, now_ms: int) -> Iterator[Test]:
    if wanted.ids:
        meant = {find(snapshot, typed, now_ms)["id"] for typed in wanted.ids}
        yield lambda issue: issue["id"] in meant
    if wanted.parent:
        family = _descendants(snapshot, find(snapshot, wanted.parent, now_ms)["id"])
        yield lambda issue: issue["id"] in family
    if wanted.no_parent:
        yield lambda issue: not parents(issue)


def parents(issue: IssueDoc) -> list[str]:
    """The issues that this one is part of."""
    return [edge["depends_on_id"] for edge in issue.get("dependencies", ()) if edge["type"] == PARENT]


def children(snapshot: Snapshot, parent: str) -> list[IssueDoc]:
    """The direct children of an issue."""
    return [issue for issue in snapshot.issues.values() if parent in parents(issue)]


def _descendants(snapshot: Snapshot, parent: str) -> set[str]:
    found: set[str] = set()
    queue = [parent]
    while queue:
        for child in children(snapshot, queue.pop()):
            if child["id"] not in found:
                found.add(child["id"])
                queue.append(child["id"])
    return found
