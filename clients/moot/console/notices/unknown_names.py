"""Statuses, types and projects that nobody has: a list asked for one is empty, and its reader is told why.

What would wait for such a status in vain is refused. Invariant: what is listed never depends on it. `bd` answers such
a list with nothing and success, and programs written for it go by that, so it is a note on standard error. Nothing is
asked of the daemon for the names of every project.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console.arguments import filters
from moot.console.command import Context
from moot.console.grammar import comma_separated, did_you_mean
from moot.console.text.safe_text import neutralise, shortened
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.query import NONE, And, Compare, Node, Or, parse
from moot_protocol.issues.settings import STATUSES, TYPES, custom_statuses, custom_types
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Count, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Status
from moot_protocol.requests.memories import Settings


class _Kind(NamedTuple):
    field: str
    """Its name in a query, and what `Count` groups by."""
    of_all: frozenset[str]
    setting: str
    own: Callable[[str], Iterable[str]]
    """The names in the setting's value."""


_STATUS: Final = _Kind("status", STATUSES, "status.custom", lambda text: (each.name for each in custom_statuses(text)))
_TYPE: Final = _Kind("type", TYPES, "types.custom", custom_types)


def told(run: Callable[[Context], int]) -> Callable[[Context], int]:
    """A command that lists issues, which first tells of names in its arguments that nobody has."""

    def command(context: Context) -> int:
        arguments = context.arguments
        _tell_of_projects(context)
        if not getattr(arguments, "ready", False):
            named = (name for name in comma_separated(_flag(context, "status")) if name != filters.ALL_STATUSES)
            _tell(context, _STATUS, named)
        _tell(context, _TYPE, map(filters.type_of, comma_separated(_flag(context, "type"))))
        if isinstance(getattr(arguments, "query", None), list) and not arguments.parse_only:
            tree = parse(" ".join(arguments.query))
            for kind in (_STATUS, _TYPE):
                _tell(context, kind, _compared(tree, kind.field))
        return run(context)

    return command


def refuse_status(context: Context, named: Iterable[str], projects: Sequence[str]) -> None:
    """Refuse a status that no issue of these projects can have.

    Raises:
        RefusedError: `invalid`; its hint names those that there are.
    """
    strange = [name for name in named if name not in STATUSES]
    if not strange:
        return
    try:
        known = STATUSES | _others(context, _STATUS, projects)
    except MootError:
        return  # as where it would only be told
    for name in strange:
        if name not in known:
            near = did_you_mean(name, sorted(known))
            raise RefusedError(f"{name!r} is no status{near}", hint=f"one of {', '.join(sorted(known))}")


def _flag(context: Context, name: str) -> Sequence[str] | None:
    value: Sequence[str] | None = getattr(context.arguments, name, None)
    return value


def _compared(node: Node, field: str) -> Iterator[str]:
    """The names that a query compares a field with; patterns are none."""
    if isinstance(node, Compare):
        is_name = "*" not in node.text and node.text.lower() != NONE
        if node.field == field and node.operator in {"=", "!="} and is_name:
            yield node.text
        return
    for part in node.parts if isinstance(node, And | Or) else (node.part,):
        yield from _compared(part, field)


def _tell(context: Context, kind: _Kind, named: Iterable[str]) -> None:
    strange = [name for name in dict.fromkeys(named) if name not in kind.of_all]
    if not strange:
        return
    try:
        others = _others(context, kind, filters.projects_listed(context))
    except MootError:
        return  # what can't be asked here is no mistake of the reader's, and the list tells what is wrong itself
    for name in strange:
        if name not in others:
            context.terminal.err(f"{_sentence(kind, name, others)}\n")


def _sentence(kind: _Kind, name: str, others: Iterable[str]) -> str:
    there = ", ".join(map(neutralise, sorted(kind.of_all.union(others))))
    return f"No issue has the {kind.field} {neutralise(shortened(name))!r}; there are {there}"


def refuse_projects(context: Context) -> None:
    """Refuse names of projects that are none here: what is written of them would be empty.

    Raises:
        RefusedError: `not_found`.
    """
    for said in _strange_projects(context):
        raise RefusedError(said, code=Code.NOT_FOUND)


def _tell_of_projects(context: Context) -> None:
    for said in _strange_projects(context):
        context.terminal.err(f"{said}\n")


def _strange_projects(context: Context) -> list[str]:
    """What there is to say of projects that were named, that nobody has opened and no issue is of."""
    named = (name for name in comma_separated(_flag(context, "project")) if name not in {"all", context.project})
    try:
        empty = [name for name in named if not context.api.call(_any_of(name)).issues]
        known = {str(each["project"]) for each in context.api.call(Status())["projects"]} if empty else set()
    except MootError:
        return []  # as with other names
    there = ", ".join(map(neutralise, sorted(known))) or "none"
    return [
        f"No issue is of a project {neutralise(shortened(name))!r}; on this machine there are {there}"
        for name in empty
        if name not in known
    ]


def _any_of(project: str) -> ListIssues:
    return ListIssues(filter=Filter(projects=(project,)), all=True, limit=1)


def _others(context: Context, kind: _Kind, projects: Sequence[str]) -> set[str]:
    """The names that issues of these projects have, and those that the projects have set."""
    count, settings = _asked(kind, projects)
    counted = context.api.call(count)
    return _named(kind, counted, [each for request in settings for each in context.api.call(request)])


def _asked(kind: _Kind, projects: Sequence[str]) -> tuple[Count, list[Settings]]:
    """What the daemon is asked for the names of these projects."""
    count = Count(filter=Filter(projects=tuple(projects)), by=kind.field)
    return count, [Settings(project=project, prefix=kind.setting) for project in projects]


def _named(kind: _Kind, counted: Mapping[str, Any], settings: Iterable[Mapping[str, Any]]) -> set[str]:
    found = {group["group"] for group in counted["groups"] if group["group"]}
    for each in settings:
        if each["key"] == kind.setting:
            found.update(kind.own(each["value"]))
    return found


async def unknown_type(ask: Callable[[Request[Any]], Awaitable[Any]], name: str, projects: Sequence[str]) -> str:
    """The same for clients that await: what there is to say of a type that no issue has; empty where some may have it.

    Args:
        ask: carries out a request.
        name: the type, as it was given; empty for none.
        projects: those whose issues were looked through; empty for all.
    """
    if not name or name in _TYPE.of_all:
        return ""
    count, settings = _asked(_TYPE, projects)
    try:
        others = _named(_TYPE, await ask(count), [each for request in settings for each in await ask(request)])
    except MootError:
        return ""  # as where a list is asked for on the command line
    return "" if name in others else _sentence(_TYPE, name, others)
