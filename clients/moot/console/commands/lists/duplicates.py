"""Commands about what is there twice: duplicates, find-duplicates, duplicate, supersede.

Nothing is deleted: who gives way is closed, and an edge leads to what stays.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, note
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import UNCHANGED, confirmed, finished_among, finished_lines, is_unchanged, nothing_to_do
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddEdge, Close, Edge, ResolveIds, Update
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Duplicates, Similar

THRESHOLD: Final = 0.5
LIMIT: Final = 50
_RELATED: Final = "related"


# -- duplicates --------------------------------------------------------------------------------------------------
def _duplicates_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--auto-merge", action="store_true", help="close all but one of each group, and link them")
    add_dry_run(parser)
    filters.add_place(parser)


def _duplicates(context: Context) -> int:
    arguments = context.arguments
    groups = context.api.call(Duplicates(projects=filters.projects_of(context), plane=arguments.plane))
    document: dict[str, Any] = {"duplicate_groups": len(groups), "groups": list(map(_group_document, groups))}
    if arguments.auto_merge:
        document["merge_results"] = _merge(context, groups)
    elif arguments.dry_run:
        document["merge_results"] = [_result(group) for group in groups]
    answer(context, document, _duplicate_lines(context, groups))
    return exits.OK


def _merge(context: Context, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Merge every group; groups stay whole: each is in one commit."""
    for steps in batched([_merging(context, group) for group in groups]):
        carry_out(context, steps)
    return [_result(group) for group in groups]


def _merging(context: Context, group: Mapping[str, Any]) -> list[tuple[str, Mutation[Any]]]:
    """What merging a group takes: children move to what stays, all else is closed and linked to it."""
    target, dry_run, actor = group["suggested_target"], context.arguments.dry_run, context.actor
    steps: list[tuple[str, Mutation[Any]]] = []
    for source, children in _sources(group):
        steps += [(child, Update(actor=actor, dry_run=dry_run, id=child, parent=target)) for child in children]
        reason = f"Duplicate of {target}"
        steps.append((source, Close(actor=actor, dry_run=dry_run, id=source, reason=reason, force=True)))
        edge = Edge(to=target, type=_RELATED)
        steps.append((source, AddEdge(actor=actor, dry_run=dry_run, id=source, edge=edge)))
    return steps


def _sources(group: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Who gives way in a group, each with the children that have to move."""
    members = {member["id"]: member for member in group["issues"]}
    for source in group["suggested_sources"]:
        yield source, [child for child in members[source]["children"] if child != group["suggested_target"]]


def _result(group: Mapping[str, Any]) -> dict[str, Any]:
    sources = [source for source, _ in _sources(group)]
    moved = [child for _, children in _sources(group) for child in children]
    return {
        "target": group["suggested_target"],
        "sources": sources,
        "closed": sources,
        "linked": sources,
        "reparented": moved,
        "errors": [],
    }


def _group_document(group: Mapping[str, Any]) -> dict[str, Any]:
    told = " ".join(group["suggested_sources"])
    target = group["suggested_target"]
    return dict(group) | {
        "suggested_action": f"moot duplicate {told} --of {target}",
        "note": f"Duplicate: {told} (same content as {target})",
    }


def _duplicate_lines(context: Context, groups: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not groups:
        yield "No duplicates found!"
        return
    style = style_of(context.terminal.facts)
    yield f"Found {several(len(groups), 'duplicate group')}:"
    for number, group in enumerate(groups, start=1):
        yield f"Group {number}: {lines.text_of(group, 'title')}"
        for member in group["issues"]:
            mark = "→" if member["is_merge_target"] else " "
            facts = f"{lines.text_of(member, 'status')}, P{member['priority']}, weight={member['weight']}"
            yield f"{mark} {style.issue_id(lines.text_of(member, 'id'))} ({facts}, {member['references']} refs)"
    given = context.arguments
    if given.dry_run:
        yield f"Dry run: would merge {several(len(groups), 'group')}"
    elif given.auto_merge:
        yield confirmed(context, f"Merged {several(len(groups), 'group')}")
    else:
        yield "--auto-merge closes all but the one marked → and links them to it"


# -- find-duplicates ---------------------------------------------------------------------------------------------
def _similar_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--threshold", type=float, default=THRESHOLD, help=f"how alike, from 0 to 1 (default {THRESHOLD:g})")
    add("--method", choices=("mechanical",), default="mechanical", help="by the words in common; nothing leaves here")
    add("-s", "--status", action="append", help="of this status; else any but closed")
    add("-n", "--limit", type=int, default=LIMIT, help=f"at most so many pairs (default {LIMIT}); 0: all")
    filters.add_place(parser)


def _similar(context: Context) -> int:
    arguments = context.arguments
    wanted = Filter(
        projects=filters.projects_of(context), plane=arguments.plane, statuses=comma_separated(arguments.status)
    )
    limit = filters.checked_limit(arguments)
    found = context.api.call(Similar(threshold=arguments.threshold, filter=wanted, limit=limit))
    pairs: list[dict[str, Any]] = found["pairs"]
    document = {"pairs": pairs, "count": len(pairs), "method": arguments.method, "threshold": arguments.threshold}
    answer(context, document, _pair_lines(context, pairs))
    if len(pairs) < found["found"]:
        note(context, f"{len(pairs)} of {found['found']} pairs shown; --limit 0 shows all")
    if not found["complete"]:
        note(
            context, "not every pair was compared, only those with rare words in common; narrow it with --project or -s"
        )
    return exits.OK


def _pair_lines(context: Context, pairs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    percent = f"threshold: {context.arguments.threshold:.0%}"
    if not pairs:
        yield f"No similar issues found ({percent})"
        return
    yield f"Found {several(len(pairs), 'potential duplicate pair')} ({percent}):"
    style = style_of(context.terminal.facts)
    for number, pair in enumerate(pairs, start=1):
        yield f"Pair {number} ({pair['similarity']:.0%} similar):"
        for side in ("a", "b"):
            shown = style.issue_id(lines.text_of(pair, f"issue_{side}_id"))
            yield f"  {shown} {lines.text_of(pair, f'issue_{side}_title')}"


# -- duplicate, supersede ----------------------------------------------------------------------------------------
def _duplicate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues that give way: all of them or none")
    parser.add_argument("--of", required=True, metavar="ID", help="the issue that stays")
    add_dry_run(parser)


def _duplicate(context: Context) -> int:
    return _replace(context, context.arguments.of, "duplicates", ("duplicate", "canonical"), "duplicate of")


def _supersede_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues that give way: all of them or none")
    parser.add_argument("--with", dest="by", required=True, metavar="ID", help="the issue that takes their place")
    add_dry_run(parser)


def _supersede(context: Context) -> int:
    return _replace(context, context.arguments.by, "supersedes", ("superseded", "replacement"), "superseded by")


def _replace(context: Context, stays: str, edge_type: str, names: tuple[str, str], words: str) -> int:
    """Close issues in favour of another, with an edge that leads to it.

    Args:
        context: the command's.
        stays: the other issue.
        edge_type: the type of the edge.
        names: how JSON calls the one and the other.
        words: how a line says what the one is to the other.
    """
    given = context.arguments
    *gone, kept = context.api.call(ResolveIds(ids=(*given.ids, stays)))
    if kept in gone:
        raise RefusedError(f"{kept} can't give way to itself", code=Code.USAGE)
    steps: list[tuple[str, Mutation[Any]]] = []
    for issue in dict.fromkeys(gone):
        edge = Edge(to=kept, type=edge_type)
        reason = f"{words.capitalize()} {kept}"
        steps.append((issue, AddEdge(actor=context.actor, dry_run=given.dry_run, id=issue, edge=edge)))
        steps.append(
            (issue, Close(actor=context.actor, dry_run=given.dry_run, id=issue, reason=reason, force=True)),
        )
    answered = carry_out(context, steps)
    found: list[dict[str, Any]] = []
    for issue, edge, closed in zip(dict.fromkeys(gone), answered[::2], answered[1::2], strict=True):
        was_so = not edge.get("created", True) and is_unchanged(closed)
        found.append(
            {names[0]: issue, names[1]: kept, "status": "closed"}
            | ({UNCHANGED: True} if was_so else {})
            | finished_among([closed])
        )
    told = (
        _replaced(context, one[names[0]], f"{words} {neutralise(kept)}", done=not is_unchanged(one)) for one in found
    )
    answer(context, found[0] if len(found) == 1 else found, [*told, *finished_lines(context, answered)])
    return exits.OK


def _replaced(context: Context, issue: str, role: str, *, done: bool) -> str:
    """The line about one issue that gives way. The role is safe to print."""
    if not done:
        return nothing_to_do(f"{neutralise(issue)} is marked as {role} and closed already")
    verb = "Would mark" if context.arguments.dry_run else "Marked"
    return confirmed(context, f"{verb} {neutralise(issue)} as {role} (closed)")


COMMANDS: Final = (
    Command(
        "duplicates",
        "Issues that say exactly the same, and merging them",
        _duplicates_arguments,
        _duplicates,
        examples=("moot duplicates", "moot duplicates --auto-merge --dry-run", "moot duplicates --auto-merge"),
    ),
    Command(
        "find-duplicates",
        "Pairs of issues with many words in common",
        _similar_arguments,
        _similar,
        aliases=("find-dups",),
        examples=("moot find-duplicates", "moot find-duplicates --threshold 0.4 --limit 20 --json"),
    ),
    Command(
        "duplicate",
        "Close an issue as a duplicate of another",
        _duplicate_arguments,
        _duplicate,
        examples=("moot duplicate bd-a1b2 --of bd-c3d4",),
    ),
    Command(
        "supersede",
        "Close an issue in favour of one that takes its place",
        _supersede_arguments,
        _supersede,
        examples=("moot supersede bd-a1b2 --with bd-c3d4",),
    ),
)
"""The commands of this module."""
