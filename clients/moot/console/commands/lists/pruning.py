"""prune and purge: deleting closed issues in bulk. What is deleted can be undeleted; the log stays whole."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, count_by_project
from moot.console.lines.confirm import by_project, confirmed
from moot.console.lines.issue_pages import issue_pages
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.issue import CLOSED, LONG_TEXTS
from moot_protocol.requests.issues import Delete, ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.queries import Query
from moot_protocol.time_units import DAY_MS
from moot_protocol.times import instant_ms

_DAYS: Final = {"": 1, "d": 1, "w": 7}
_NAMED: Final = 5
"""Ids that a preview names."""
_EPHEMERAL: Final = f"ephemeral=true AND status={CLOSED}"
_HEAD_CHARS: Final = 4
"""First characters of ids that are looked for: those of one project have them in common."""


def days(text: str) -> int:
    """A number of days: `30`, `30d` or `4w`.

    Raises:
        ArgumentTypeError: it is nothing of the kind.
    """
    digits = text.strip().lower().rstrip("dw")
    unit = text.strip().lower()[len(digits) :]
    if unit not in _DAYS or not (digits.isascii() and digits.isdigit() and len(digits) < 6):
        raise ArgumentTypeError(f"{text!r} is no number of days; write one such as 30d or 4w")
    return int(digits) * _DAYS[unit]


def _add_arguments(parser: ArgumentParser, force: str) -> None:
    parser.add_argument("--older-than", type=days, metavar="DAYS", help="closed before so many days: 30d, 4w")
    parser.add_argument("--pattern", metavar="PATTERN", help="with an id like this: *-wisp-*")
    parser.add_argument("-f", "--force", action="store_true", help=force)
    filters.add_place(parser)
    add_dry_run(parser)


def _purge_arguments(parser: ArgumentParser) -> None:
    _add_arguments(parser, "accepted for bd's sake: they are deleted anyway, unless with --dry-run")


def _prune_arguments(parser: ArgumentParser) -> None:
    _add_arguments(parser, "delete them, rather than show what would go")
    parser.add_argument(
        "--ignore-references", action="store_true", help="also those that open issues name in their texts"
    )


def _closed(context: Context, *, ephemeral: bool) -> tuple[list[IssueDoc], int]:
    """What is closed and meant by the arguments, and how many pinned ones were left out."""
    given = context.arguments
    before = None if given.older_than is None else context.now_ms - given.older_than * DAY_MS
    found = [
        issue
        for issue in (_passed(context, before) if ephemeral else _listed(context, before))
        if bool(issue.get("ephemeral")) is ephemeral and fnmatchcase(issue["id"], given.pattern or "*")
    ]
    kept = [issue for issue in found if not issue.get("pinned")]
    return kept, len(found) - len(kept)


def _listed(context: Context, before: int | None) -> list[IssueDoc]:
    wanted = Filter(
        projects=filters.projects_of(context),
        plane=context.arguments.plane,
        statuses=(CLOSED,),
        closed_before=before,
    )
    return context.api.call(ListIssues(filter=wanted, all=True, limit=0, sort="id")).issues


def _passed(context: Context, before: int | None) -> list[IssueDoc]:
    """The ephemeral ones: asked for as such, since there are few among all that is closed."""
    projects, plane = filters.projects_of(context), context.arguments.plane
    query = Query(text=_EPHEMERAL, projects=projects, plane=plane, all=True, limit=0, sort="id")
    try:
        found = context.api.call(query).issues
    except MootError as error:
        if error.code is not Code.UNREACHABLE:
            raise
        return _listed(context, before)  # what a sandbox has of its project answers no queries; it is small
    if before is None:
        return found
    return [issue for issue in found if (at := instant_ms(issue.get("closed_at"))) is not None and at < before]


def _named_by_others(context: Context, issues: Sequence[IssueDoc]) -> set[str]:
    """Which of some issues are named in a text of an open one: those are gone through by pages, none is kept."""
    named: set[str] = set()
    if issues:
        find = _finder({issue["id"] for issue in issues})
        wanted = Filter(projects=filters.projects_of(context), exclude_statuses=(CLOSED,))
        for page in issue_pages(context, wanted):
            named |= find("\n".join(text for issue in page for text in _texts(issue)))
    return named


def _texts(issue: IssueDoc) -> Iterator[str]:
    yield from (issue.get(name) or "" for name in LONG_TEXTS)
    yield from (each["text"] for each in issue.get("comments", ()))


def _finder(ids: AbstractSet[str]) -> Callable[[str], set[str]]:
    """Finds which ids stand anywhere in a text, which is gone through once: both may be as large as a tracker."""
    heads = sorted({name[:_HEAD_CHARS] for name in ids})
    begins = re.compile(f"(?={'|'.join(map(re.escape, heads))})")
    lengths = sorted(set(map(len, ids)))

    def find(told: str) -> set[str]:
        places = (found.start() for found in begins.finditer(told))
        return {part for at in places for length in lengths if (part := told[at : at + length]) in ids}

    return find


def _purge(context: Context) -> int:
    if not context.arguments.dry_run:
        filters.check_place_is_named(context, "purge")
    found, pinned = _closed(context, ephemeral=True)
    return _delete(context, "purge", found, pinned, dry_run=context.arguments.dry_run)


def _prune(context: Context) -> int:
    given = context.arguments
    if given.older_than is None and given.pattern is None:
        hint = "`--older-than 30d` or `--pattern 'bd-old-*'`; `--pattern '*'` for all that is closed"
        raise RefusedError("prune needs to be told which closed issues", code=Code.USAGE, hint=hint)
    if given.force and not given.dry_run:
        filters.check_place_is_named(context, "prune")
    found, pinned = _closed(context, ephemeral=False)
    if not given.ignore_references:
        named = _named_by_others(context, found)
        found = [issue for issue in found if issue["id"] not in named]
    return _delete(context, "prune", found, pinned, dry_run=given.dry_run or not given.force)


def _delete(context: Context, word: str, issues: Sequence[IssueDoc], pinned: int, *, dry_run: bool) -> int:
    ids = [issue["id"] for issue in issues]
    of_projects = {} if len(filters.projects_of(context)) == 1 or not ids else count_by_project(context, ids)
    for script in batched(
        [[(issue, Delete(actor=context.actor, dry_run=dry_run, id=issue, reason=f"{word}d"))] for issue in ids]
    ):
        carry_out(context, script)
    given = context.arguments
    document: dict[str, Any] = {f"{word}d_count": len(ids), f"{word}d_ids": ids}
    document |= dict.fromkeys(("dependencies_count", "labels_count", "events_count"), 0)
    document |= {"projects": of_projects} if of_projects else {}
    document |= {"skipped_pinned": pinned} if pinned else {}
    document |= {"pattern": given.pattern} if given.pattern else {}
    document |= {"older_than_days": given.older_than} if given.older_than else {}
    document |= {"dry_run": True, f"{word}_count": len(ids)} if dry_run else {}
    what = several(len(ids), "closed issue") if word == "prune" else several(len(ids), "closed ephemeral issue")
    if not ids:
        answer(context, document, [f"Nothing to {word}"])
        return exits.OK
    told = f"Would {word} {what}" if dry_run else f"{word.capitalize()}d {what}; `undelete` brings them back"
    some = neutralise(", ".join(ids[:_NAMED])) + ("…" if len(ids) > _NAMED else "")
    needed = "--force" if filters.is_place_named(context) else "--project all --force"
    preview = [f"  Add {needed} to delete: {some}"] if dry_run and not given.dry_run else []
    answer(context, document, [confirmed(context, told), *by_project(of_projects), *preview])
    return exits.OK


COMMANDS: Final = (
    Command(
        "prune",
        "Delete closed issues that are old, or of a pattern",
        _prune_arguments,
        _prune,
        examples=("moot prune --older-than 90d", "moot prune --older-than 90d --force"),
    ),
    Command(
        "purge",
        "Delete ephemeral issues that are closed",
        _purge_arguments,
        _purge,
        examples=(
            "moot purge --dry-run  # shows what would go",
            "moot purge --older-than 7d",
        ),
    ),
)
"""The commands of this module."""
