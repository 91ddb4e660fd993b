"""What the Python clients can ask in one line: pure functions from what a caller says to the request that says it.

The blocking and the asynchronous client differ only in how they wait, so what each verb means stands here once. An
argument exists only where a request carries it.
"""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypedDict

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import LIST_LIMIT, LONGEST_LIMIT, READY_LIMIT
from moot_protocol.requests.issues import Blocked, Create, Edge, IssueFields, ListIssues, Ready, Update
from moot_protocol.requests.listing import Filter

LOOK_MS: Final = 30_000
"""How long one look for news waits: `events` of a client is a chain of them."""


class Texts(TypedDict, total=False):
    """Fields of an issue that `create` and `update` can set; empty ones are cleared. Times are RFC 3339 text."""

    description: str
    design: str
    acceptance_criteria: str
    notes: str
    priority: int
    issue_type: str
    assignee: str
    owner: str
    estimated_minutes: int
    due_at: str
    defer_until: str
    external_ref: str
    spec_id: str
    ephemeral: bool
    pinned: bool


class NewIssue(Texts, total=False):
    """What `create` takes beside the title."""

    status: str
    id: str
    """An id of the caller's own instead of a random one."""
    labels: Iterable[str]
    parent: str
    depends_on: Iterable[str]
    """Ids of issues that block it."""
    metadata: Mapping[str, Any]


class Changes(Texts, total=False):
    """What `update` takes beside the id."""

    title: str
    status: str
    append_notes: str
    add_labels: Iterable[str]
    remove_labels: Iterable[str]
    set_labels: Iterable[str]
    set_metadata: Mapping[str, Any]
    unset_metadata: Iterable[str]
    parent: str
    """A new parent; empty to have none."""


class Wanted(TypedDict, total=False):
    """Which issues `ready`, `blocked` and every other list hold: every part given must hold."""

    issue_type: str | Iterable[str]
    """Of one of these types."""
    priority: int | Iterable[int]
    """Of one of these priorities."""
    assignee: str
    unassigned: bool
    labels: Iterable[str]
    """With all of them."""
    any_labels: Iterable[str]
    parent: str
    """Descendants of this issue."""
    all_projects: bool
    """Not only those of the client's project."""


class Listed(Wanted, total=False):
    """Which issues `list` and `search` hold."""

    status: str | Iterable[str]
    """Of one of these statuses, closed ones among them; by default all that aren't closed."""
    title_contains: str
    text_contains: str
    """In title or description, case ignored."""


_FIELDS: Final = frozenset(IssueFields.__struct_fields__)


def create(actor: str, project: str, plane: str, title: str, new: NewIssue) -> Create:
    """The request for a new issue."""
    given: dict[str, Any] = {**new}
    _refuse_unknown("create", given)
    fields = IssueFields(title=title, **{name: given[name] for name in given if name in _FIELDS})
    return Create(
        actor=actor,
        project=project,
        plane=plane,
        fields=fields,
        id=given.get("id", ""),
        labels=_labels("labels", given),
        edges=tuple(map(Edge, _several(given.get("depends_on", ())))),
        parent=given.get("parent", ""),
        metadata=_mapping("metadata", given),
    )


def update(actor: str, issue: str, changes: Changes) -> Update:
    """The request that changes an issue."""
    given: dict[str, Any] = {**changes}
    _refuse_unknown("update", given)
    return Update(
        actor=actor,
        id=issue,
        fields=IssueFields(**{name: given[name] for name in given if name in _FIELDS}),
        append_notes=given.get("append_notes", ""),
        add_labels=_labels("add_labels", given),
        remove_labels=_labels("remove_labels", given),
        set_labels=None if given.get("set_labels") is None else _labels("set_labels", given),
        set_metadata=_mapping("set_metadata", given),
        unset_metadata=_several(given.get("unset_metadata", ())),
        parent=given.get("parent"),
    )


def claim(actor: str, issue: str, ttl_s: Any, *, ends: bool = False) -> Update:
    """The request that claims an issue.

    Args:
        actor: whose it becomes.
        issue: its id.
        ttl_s: how long it is held, in seconds; 0 for as long as nobody gives it back.
        ends: whether it must have an end.

    Raises:
        RefusedError: `usage`: the time is none, or 0 where an end is needed.
    """
    if not isinstance(ttl_s, int | float) or not isfinite(ttl_s) or (ends and ttl_s <= 0):
        raise RefusedError(f"ttl_s is a number of seconds, not {ttl_s!r}", code=Code.USAGE)
    return Update(actor=actor, id=issue, claim=True, ttl_ms=round(ttl_s * 1000))


def listed(project: str, wanted: Listed, *, sort: str = "priority", limit: int = LIST_LIMIT, **more: Any) -> ListIssues:
    """The request for a list.

    Args:
        project: the client's; empty for none.
        wanted: which issues.
        sort: their order, as `ListIssues` names it.
        limit: at most so many; 0 for all.
        more: further parts of the filter.
    """
    given: dict[str, Any] = {**wanted}
    _refuse_unknown("list", given)
    statuses = _several(given.get("status", ()))
    parts = {name: given[name] for name in ("title_contains", "text_contains") if name in given} | more
    any_status = "all" in statuses
    if statuses and not any_status:
        parts["statuses"] = statuses
    return ListIssues(filter=_filter(project, given, **parts), all=any_status, sort=sort, limit=_checked(limit))


def ready(project: str, wanted: Wanted, *, sort: str = "priority", limit: int = READY_LIMIT) -> Ready:
    """The request for what can be worked on. Arguments as of `listed`."""
    _refuse_unknown("ready", {**wanted})
    return Ready(filter=_filter(project, {**wanted}), sort=sort, limit=_checked(limit))


def blocked(project: str, wanted: Wanted, *, limit: int = READY_LIMIT) -> Blocked:
    """The request for what is blocked. Arguments as of `listed`."""
    _refuse_unknown("blocked", {**wanted})
    return Blocked(filter=_filter(project, {**wanted}), limit=_checked(limit))


def _filter(project: str, given: Mapping[str, Any], **more: Any) -> Filter:
    priority = given.get("priority", ())
    return Filter(
        projects=(project,) if project and not given.get("all_projects") else (),
        types=_several(given.get("issue_type", ())),
        priorities=(priority,) if isinstance(priority, int) else _several(priority),
        assignee=given.get("assignee", ""),
        unassigned=given.get("unassigned", False),
        labels=_labels("labels", given),
        any_labels=_labels("any_labels", given),
        parent=given.get("parent", ""),
        **more,
    )


def _several(given: Any) -> tuple[Any, ...]:
    if isinstance(given, Iterable) and not isinstance(given, str):
        return tuple(given)
    return (given,)  # of what type it is to be, the daemon says


def _labels(name: str, given: Mapping[str, Any]) -> tuple[Any, ...]:
    """Labels that are given; a text by itself is one.

    Raises:
        RefusedError: `usage`: it is a text with a comma, which on the command line would be several.
    """
    labels = given.get(name, ())
    if isinstance(labels, str) and "," in labels:
        hint = f"{name}={[part.strip() for part in labels.split(',')]!r}"
        raise RefusedError(f"{name} is a list of labels, not {labels!r}", code=Code.USAGE, hint=hint)
    return _several(labels)


def _mapping(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get(name, {})
    if not isinstance(value, Mapping):
        raise RefusedError(f"{name} maps names to values, and is no {type(value).__name__}", code=Code.USAGE)
    return dict(value)


def _checked(limit: Any) -> Any:
    """A limit, 0 (all) for one that no list can reach; what is no number the daemon refuses."""
    if isinstance(limit, int) and limit < 0:
        raise RefusedError("limit can't be negative", code=Code.USAGE, hint="use 0 for all")
    return 0 if isinstance(limit, int) and limit > LONGEST_LIMIT else limit


_KNOWN: Final = {
    "create": NewIssue.__optional_keys__,
    "update": Changes.__optional_keys__,
    "list": Listed.__optional_keys__,
    "ready": Wanted.__optional_keys__,
    "blocked": Wanted.__optional_keys__,
}
"""The names that each verb takes. Type checkers know them; callers without one are told."""


def _refuse_unknown(verb: str, given: Mapping[str, Any]) -> None:
    unknown = sorted(set(given) - _KNOWN[verb])
    if unknown:
        raise RefusedError(
            f"{verb} takes no {' and no '.join(unknown)}",
            code=Code.USAGE,
            hint=f"it takes {', '.join(sorted(_KNOWN[verb]))}",
        )
