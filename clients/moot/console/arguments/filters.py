"""The arguments that say which issues a list holds, and the `Filter` made from them.

Names as `bd` has them. An argument exists only where the request can carry it, so none is accepted and ignored.
"""

from argparse import ArgumentParser, Namespace
from typing import Any, Final

from moot.console.command import Context
from moot.console.context import own_projects
from moot.console.grammar import comma_separated
from moot.console.text import when
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import LONGEST_LIMIT, LOWEST_PRIORITY
from moot_protocol.requests.listing import Filter

ALL_STATUSES: Final = "all"
"""Said instead of a status."""
SORTS: Final = ("priority", "created", "updated", "closed", "status", "id", "title", "type", "assignee")

_TYPE_ALIASES: Final = {
    "mr": "merge-request", "feat": "feature", "mol": "molecule", "dec": "decision", "adr": "decision",
}  # fmt: skip
_TIMES: Final = ("created", "updated", "closed", "due", "defer")


def add_basic(parser: ArgumentParser) -> None:
    """Add what `ready` and every other list take."""
    parser.add_argument("-t", "--type", action="append", help="of this type")
    parser.add_argument("--exclude-type", action="append", help="not of this type")
    parser.add_argument("-p", "--priority", action="append", help="0-4 or P0-P4, 0 highest")
    parser.add_argument("-a", "--assignee", default="", help="held by this one")
    parser.add_argument("-u", "--unassigned", "--no-assignee", action="store_true", help="held by nobody")
    parser.add_argument("-l", "--label", action="append", help="with all of these labels")
    parser.add_argument("--label-any", action="append", help="with any of these labels")
    parser.add_argument("--exclude-label", action="append", help="with none of these labels")
    parser.add_argument("--label-pattern", default="", metavar="PATTERN", help="with a label like this: tech-*, v?")
    parser.add_argument("--parent", "--filter-parent", default="", metavar="ID", help="below this, at any depth")
    parser.add_argument("--metadata-field", action="append", metavar="KEY=VALUE", help="repeatable")
    parser.add_argument("--has-metadata-key", action="append", metavar="KEY", help="repeatable")
    parser.add_argument("--label-regex", default="", metavar="REGEX", help="with a label in which this is found")
    parser.add_argument("--mol-type", default="", metavar="TYPE", help="with this mol_type in its metadata")
    parser.add_argument("--wisp-type", default="", metavar="TYPE", help="with this wisp_type in its metadata")
    add_place(parser)


def add_place(parser: ArgumentParser) -> None:
    """Add which projects and which plane a list is about."""
    parser.add_argument("--project", "--rig", action="append", help="another project; `all` for every one")
    parser.add_argument("--plane", default="", help="of this plane, all its projects: its name or its id's start")


def add_full(parser: ArgumentParser) -> None:
    """Add what `list`, `search` and `count` take."""
    add_basic(parser)
    parser.add_argument("-s", "--status", "--state", action="append", help="open, closed, … or all")
    parser.add_argument("--priority-min", default="", metavar="P", help="of this priority number or a higher one")
    parser.add_argument("--priority-max", default="", metavar="P", help="of this priority number or a lower one")
    parser.add_argument("--no-labels", action="store_true", help="without labels")
    parser.add_argument("--no-parent", action="store_true", help="without a parent")
    parser.add_argument("--id", action="append", help="these issues only")
    parser.add_argument("--title", "--title-contains", default="", metavar="TEXT", help="in the title, case ignored")
    parser.add_argument("--text-contains", default="", metavar="TEXT", help="in title or description, case ignored")
    parser.add_argument("--desc-contains", default="", metavar="TEXT", help="in the description, case ignored")
    parser.add_argument("--notes-contains", default="", metavar="TEXT", help="in the notes, case ignored")
    parser.add_argument("--empty-description", action="store_true", help="without a description")
    parser.add_argument("--spec", default="", metavar="ID", help="of a specification whose id begins so")
    parser.add_argument("--external-ref", default="", metavar="REF", help="with this name elsewhere")
    parser.add_argument("--external-contains", default="", metavar="TEXT", help="in the name elsewhere, case ignored")
    for time in _TIMES:
        parser.add_argument(f"--{time}-after", default="", metavar="TIME", help=when.HELP)
        parser.add_argument(f"--{time}-before", default="", metavar="TIME", help=f"as --{time}-after")
    parser.add_argument("--overdue", action="store_true", help="past their due time and not closed")
    parser.add_argument("--deferred", action="store_true", help="of status deferred, or until a time that is to come")
    pinned = parser.add_mutually_exclusive_group()
    pinned.add_argument("--pinned", action="store_true", default=None, help="pinned only")
    pinned.add_argument("--no-pinned", action="store_false", dest="pinned", help="without pinned ones")


def add_limit(parser: ArgumentParser, default: int, *more: str) -> None:
    """Add `--limit`, with other names beside its own."""
    parser.add_argument(
        "-n", *more, "--limit", type=int, default=default, help=f"at most so many (default {default}); 0: all"
    )


def checked_limit(arguments: Namespace) -> int:
    """The limit asked for; 0 (all) for one that no list can reach, and no counter may hold.

    Raises:
        RefusedError: `usage`: it is negative.
    """
    limit: int = arguments.limit
    if limit < 0:
        raise RefusedError("--limit can't be negative", code=Code.USAGE, hint="use --limit 0 for all")
    return limit if limit <= LONGEST_LIMIT else 0


def projects_of(context: Context) -> tuple[str, ...]:
    """The projects that a command reads: those named, else the workspace's, else all."""
    named = comma_separated(getattr(context.arguments, "project", None))
    if "all" in named:
        return ()
    return named or own_projects(context)


def projects_listed(context: Context) -> tuple[str, ...]:
    """The projects that a list shows: as `projects_of`, but all of them on a plane that is named without a project."""
    arguments = context.arguments
    return () if arguments.plane and not arguments.project else projects_of(context)


def is_place_named(context: Context) -> bool:
    """Whether it was said of which projects a command is: by the folder, or by an argument."""
    return bool(context.project or context.arguments.project or context.arguments.plane)


def check_place_is_named(context: Context, word: str) -> None:
    """Refuse to delete in bulk where nobody has said of which projects.

    Args:
        context: the command's.
        word: what the command is called.

    Raises:
        RefusedError: `usage`: this folder is no project, and none is named.
    """
    if not is_place_named(context):
        hint = "`--project all` means every one, `--project NAME` one of them; `--dry-run` shows what would go"
        message = f"this folder is no project: {word} would delete in all projects of the town"
        raise RefusedError(message, code=Code.USAGE, hint=hint)


def wants_all_statuses(arguments: Namespace) -> bool:
    """Whether closed issues are asked for too, by `--status all`, or by `--all` where no status is named."""
    named = comma_separated(arguments.status)
    return ALL_STATUSES in named or (bool(getattr(arguments, "all", False)) and not named)


def basic_filter(context: Context, **more: Any) -> Filter:
    """The filter that the arguments of `add_basic` make, with further parts.

    Raises:
        RefusedError: `usage`: an argument is not understood.
    """
    arguments = context.arguments
    parts: dict[str, Any] = {
        "projects": projects_listed(context),
        "plane": arguments.plane,
        "types": tuple(map(type_of, comma_separated(arguments.type))),
        "exclude_types": tuple(map(type_of, comma_separated(arguments.exclude_type))),
        "priorities": tuple(map(priority_of, comma_separated(arguments.priority))),
        "assignee": arguments.assignee,
        "unassigned": arguments.unassigned,
        "labels": comma_separated(arguments.label),
        "any_labels": comma_separated(arguments.label_any),
        "exclude_labels": comma_separated(arguments.exclude_label),
        "label_pattern": arguments.label_pattern,
        "label_regex": arguments.label_regex,
        "parent": arguments.parent,
        "metadata": _metadata(arguments),
        "has_metadata": tuple(arguments.has_metadata_key or ()),
    }
    return Filter(**(parts | more))


def full_filter(context: Context, **more: Any) -> Filter:
    """The filter that the arguments of `add_full` make, with further parts.

    Raises:
        RefusedError: `usage`: an argument is not understood.
    """
    arguments = context.arguments
    parts: dict[str, Any] = {
        "statuses": () if wants_all_statuses(arguments) else comma_separated(arguments.status),
        "priorities": _priorities(arguments),
        "no_labels": arguments.no_labels,
        "no_parent": arguments.no_parent,
        "ids": comma_separated(arguments.id),
        "title_contains": arguments.title,
        "text_contains": arguments.text_contains,
        "description_contains": arguments.desc_contains,
        "notes_contains": arguments.notes_contains,
        "empty_description": arguments.empty_description,
        "spec": arguments.spec,
        "external": arguments.external_ref,
        "external_contains": arguments.external_contains,
        "overdue": arguments.overdue,
        "deferred": arguments.deferred,
        "pinned": arguments.pinned,
    }
    for time in _TIMES:
        for side in ("after", "before"):
            text = getattr(arguments, f"{time}_{side}")
            parts[f"{time}_{side}"] = when.parse(text, context.now_ms) if text else None
    return basic_filter(context, **(parts | more))


def priority_of(text: str) -> int:
    """A priority from `2` or `P2`.

    Raises:
        RefusedError: `usage`: it is none.
    """
    digits = text.strip().upper().removeprefix("P")
    if digits.isascii() and digits.isdigit() and int(digits) <= LOWEST_PRIORITY:
        return int(digits)
    raise RefusedError(f"{text!r} is no priority", code=Code.USAGE, hint="use 0 to 4 or P0 to P4, 0 being the highest")


def _priorities(arguments: Namespace) -> tuple[int, ...]:
    """The priorities that `--priority`, `--priority-min` and `--priority-max` leave together."""
    named = set(map(priority_of, comma_separated(arguments.priority)))
    if not (arguments.priority_min or arguments.priority_max):
        return tuple(sorted(named))
    least = priority_of(arguments.priority_min or "0")
    most = priority_of(arguments.priority_max or str(LOWEST_PRIORITY))
    left = [number for number in range(least, most + 1) if not named or number in named]
    if not left:
        raise RefusedError("no priority is left by --priority, --priority-min and --priority-max", code=Code.USAGE)
    return tuple(left)


def type_of(text: str) -> str:
    """The issue type that a word means: itself, or what it is short for."""
    return _TYPE_ALIASES.get(text.lower(), text)


def _metadata(arguments: Namespace) -> dict[str, str]:
    kinds = {"mol_type": arguments.mol_type, "wisp_type": arguments.wisp_type}
    named = dict(map(_key_and_value, arguments.metadata_field or ()))
    return named | {name: value for name, value in kinds.items() if value}


def _key_and_value(text: str) -> tuple[str, str]:
    key, divider, value = text.partition("=")
    if not (key and divider):
        raise RefusedError(f"{text!r} is no metadata field", code=Code.USAGE, hint="write --metadata-field key=value")
    return key, value
