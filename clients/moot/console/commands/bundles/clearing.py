"""mol squash|burn, mol wisp gc: putting away what was poured. What is deleted can be undeleted.

Invariant: what isn't ephemeral goes only where a whole molecule that isn't is burned: a digest, and whatever else is
kept below a wisp, outlives it.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.commands.bundles.molecules import add_molecule, wisps_of
from moot.console.context import answer, carry_out, count_by_project, need_project
from moot.console.grammar import comma_separated
from moot.console.lines.confirm import by_project, confirmed, naming
from moot.console.lines.issues import parent_of
from moot.console.molecules import pouring
from moot.console.molecules.molecule import Molecule
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.durations import HELP, duration_ms
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED
from moot_protocol.limits import TITLE_CHARS
from moot_protocol.requests.issues import Close, Create, Delete, Edge, IssueFields
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.time_units import DAY_MS

_NAMED: Final = 5
"""Ids that advice to delete them names."""
_DIGEST_OF: Final = "squashed_from"
"""The metadata of a digest: what it tells of."""


# -- squash ------------------------------------------------------------------------------------------------------
def _squash_arguments(parser: ArgumentParser) -> None:
    add_molecule(parser)
    parser.add_argument(
        "--summary", default="", metavar="TEXT", help="what came of it; else the steps and their reasons"
    )
    parser.add_argument("--keep-children", action="store_true", help="leave the steps there")
    parser.add_argument("-f", "--force", action="store_true", help="also if work on them has begun")
    add_dry_run(parser)


def _squash(context: Context) -> int:
    given = context.arguments
    molecule = Molecule(context, given.id)
    steps = [step for step in molecule.steps if _is_passing(step)]
    gone = [] if given.keep_children else steps
    _check_begun(context, molecule, gone)
    ids = [step["id"] for step in steps]
    document = {
        "molecule_id": molecule.id,
        "digest_id": "",
        "squashed_ids": ids,
        "squashed_count": len(ids),
        "deleted_count": len(gone),
        "kept_children": given.keep_children,
        "wisp_squash": molecule.is_wisp,
    }
    if not steps:
        answer(context, document, [f"Nothing to do: {naming(molecule.epic)} has no ephemeral steps"])
        return exits.OK
    script = [
        ("digest", _digest(context, molecule, steps)),
        *_deletions(context, gone, "squashed", dry_run=given.dry_run),
        *_closing(context, molecule, ids),
    ]
    made = carry_out(context, script)[0]
    document["digest_id"] = made["id"]
    done = "Would squash" if given.dry_run else "Squashed"
    told = f"{done} molecule {naming(molecule.epic)}: {several(len(ids), 'step')} into one digest"
    back = "; `undelete` brings them back" if gone else ""
    answer(context, document, [confirmed(context, f"{told}{back}"), f"  Digest ID: {naming(made)}"])
    return exits.OK


def _is_passing(step: IssueDoc) -> bool:
    """Whether a step is there for a while only: what isn't ephemeral is kept, and a digest in any case."""
    return bool(step.get("ephemeral")) and _DIGEST_OF not in step.get("metadata", {})


def _check_begun(context: Context, molecule: Molecule, gone: Sequence[IssueDoc]) -> None:
    """Refuse to delete steps that are being worked on; one's own in a wisp may, whose last step is to squash it.

    Raises:
        RefusedError: `conflict`: there are such, and --force isn't given.
    """
    begun = [
        step
        for step in gone
        if step.get("status") == IN_PROGRESS
        and not (molecule.is_wisp and step.get("assignee", "") in {"", context.actor})
    ]
    if begun and not context.arguments.force:
        raise _in_progress(molecule, begun)


def _in_progress(molecule: Molecule, begun: Sequence[IssueDoc]) -> RefusedError:
    return RefusedError(
        f"{several(len(begun), 'step')} of {molecule.id} in progress", code=Code.CONFLICT, hint="add --force"
    )


def _closing(context: Context, molecule: Molecule, squashed: Sequence[str]) -> list[tuple[str, Close]]:
    """How the epic is closed, unless there is more to do below it than what was squashed."""
    if any(step["id"] not in squashed and step.get("status") != CLOSED for step in molecule.steps):
        return []
    reason = f"Squashed: {several(len(squashed), 'step')} into a digest"
    dry_run = context.arguments.dry_run
    return [(molecule.id, Close(actor=context.actor, dry_run=dry_run, id=molecule.id, reason=reason, force=True))]


def _digest(context: Context, molecule: Molecule, steps: Sequence[IssueDoc]) -> Create:
    """The closed issue that tells what came of a molecule's steps, part of its epic."""
    title = f"Digest: {molecule.title}"[:TITLE_CHARS]
    text = context.arguments.summary or "\n".join(map(_told_step, steps))
    return Create(
        actor=context.actor,
        dry_run=context.arguments.dry_run,
        project=need_project(context),
        plane=context.plane,
        fields=IssueFields(
            title=title, description=text, status=CLOSED, close_reason=f"Squashed {molecule.id}", issue_type="task"
        ),
        edges=(Edge(to=molecule.id, type=PARENT),),
        metadata={_DIGEST_OF: molecule.id},
        inherit_labels=False,
    )


def _told_step(step: IssueDoc) -> str:
    reason = step.get("close_reason")
    return f"- {step.get('title', '')} ({step.get('status')}{f': {reason}' if reason else ''})"


# -- burn --------------------------------------------------------------------------------------------------------
def _burn_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the molecules' epics")
    parser.add_argument("-f", "--force", "-y", "--yes", action="store_true", help="also if work on it has begun")
    parser.add_argument("--plane", default="", help="accepted for other commands' sake: the id tells it")
    add_dry_run(parser)


def _burn(context: Context) -> int:
    given = context.arguments
    molecules = [Molecule(context, typed) for typed in dict.fromkeys(given.ids)]
    for molecule in molecules:
        begun = molecule.with_status(IN_PROGRESS)
        if begun and not (given.force or molecule.is_wisp):
            raise _in_progress(molecule, begun)
    results = []
    for molecule in molecules:
        gone = _burning(molecule)
        for script in batched([each] for each in _deletions(context, gone, "burned", dry_run=given.dry_run)):
            carry_out(context, script)
        ids = [issue["id"] for issue in gone]
        results.append({"molecule_id": molecule.id, "deleted_ids": ids, "deleted_count": len(ids)})
    answer(context, _burned(results), _burned_lines(context, molecules))
    return exits.OK


def _burning(molecule: Molecule) -> list[IssueDoc]:
    """What goes with a molecule: of a wisp only what is ephemeral itself."""
    return [*(step for step in molecule.steps if not molecule.is_wisp or _is_passing(step)), molecule.epic]


def _burned(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(results) == 1:
        return results[0]
    deleted = sum(each["deleted_count"] for each in results)
    return {"results": list(results), "total_deleted": deleted, "failed_count": 0}


def _burned_lines(context: Context, molecules: Sequence[Molecule]) -> Iterator[str]:
    done = "Would burn" if context.arguments.dry_run else "Burned"
    for molecule in molecules:
        told = f"{done} {naming(molecule.epic)} with {several(len(_burning(molecule)) - 1, 'step')}"
        yield confirmed(context, f"{told}; `undelete` brings them back")


def _deletions(context: Context, issues: Sequence[IssueDoc], reason: str, *, dry_run: bool) -> list[tuple[str, Delete]]:
    return [
        (issue["id"], Delete(actor=context.actor, dry_run=dry_run, id=issue["id"], reason=reason)) for issue in issues
    ]


# -- wisp gc -----------------------------------------------------------------------------------------------------
def _gc_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--age", type=duration_ms, default=DAY_MS, metavar="DURATION", help=f"unchanged so long: {HELP}")
    add("--all", action="store_true", help="those not closed too")
    add("--closed", action="store_true", help="every ephemeral issue that is closed, whatever its age; with --force")
    add("-f", "--force", action="store_true", help="with --closed: delete them, rather than count them")
    add("--exclude-type", action="append", metavar="A,B", help="leave issues of these types there")
    filters.add_place(parser)
    add("-n", "--limit", type=int, default=0, metavar="N", help="wisps at most; 0: all")
    add_dry_run(parser)


def _gc(context: Context) -> int:
    given = context.arguments
    shows_only = given.closed and not given.force
    dry_run = given.dry_run or shows_only
    if not dry_run:
        filters.check_place_is_named(context, "mol wisp gc")
    kept = comma_separated(given.exclude_type)
    wisps = [wisp for wisp in wisps_of(context, closed=True).issues if wisp.get("issue_type") not in kept]
    gone = _closed(context, wisps) if given.closed else _done_with(context, wisps)
    gone = gone[: given.limit or len(gone)]
    ids = [wisp["id"] for wisp in gone]
    of_projects = {} if len(filters.projects_of(context)) == 1 or not ids else count_by_project(context, ids)
    for script in batched([each] for each in _deletions(context, gone, "cleared away", dry_run=dry_run)):
        carry_out(context, script)
    document: dict[str, Any] = {"cleaned_ids": ids, "cleaned_count": 0 if dry_run else len(ids)}
    document |= {"projects": of_projects} if of_projects else {}
    document |= {"candidates": len(ids), "dry_run": True} if dry_run else {}
    told = f"{'Would clear away' if dry_run else 'Cleared away'} {several(len(ids), 'ephemeral issue')}"
    some = neutralise(", ".join(ids[:_NAMED])) + ("…" if len(ids) > _NAMED else "")
    needed = "--force" if filters.is_place_named(context) else "--project all --force"
    advice = [*by_project(of_projects), *([f"  Add {needed} to delete: {some}"] if shows_only else [])]
    answer(context, document, [confirmed(context, told), *advice] if ids else ["No abandoned wisps found"])
    return exits.OK


def _closed(context: Context, wisps: Sequence[IssueDoc]) -> list[IssueDoc]:
    """What of the ephemeral issues is closed, and roots left open when their last steps were closed on two machines."""
    above = {parent_of(wisp) for wisp in wisps if wisp.get("status") == CLOSED}
    return [
        wisp
        for wisp in wisps
        if wisp.get("status") == CLOSED
        or (wisp["id"] in above and not wisp.get("pinned") and _is_complete(context, wisp))
    ]


def _is_complete(context: Context, wisp: IssueDoc) -> bool:
    """Whether a formula was poured into it and all of its steps are closed."""
    if pouring.SOURCE not in wisp.get("metadata", {}):
        return False
    return all(step.get("status") == CLOSED for step in Molecule(context, wisp["id"]).steps)


def _done_with(context: Context, wisps: Sequence[IssueDoc]) -> list[IssueDoc]:
    """What of the ephemeral issues has ended, and long enough ago: molecules as a whole, others one by one."""
    inside = {wisp["id"] for wisp in wisps}
    every = context.arguments.all
    gone: list[IssueDoc] = []
    for wisp in wisps:
        if parent_of(wisp) in inside or wisp.get("pinned") or not _is_old(context, wisp):
            continue
        steps: list[IssueDoc] = []
        if pouring.SOURCE in wisp.get("metadata", {}):
            steps = Molecule(context, wisp["id"]).steps
        ended = all(step.get("status") == CLOSED for step in steps or (wisp,))
        if every or ended:
            gone += [*filter(_is_passing, steps), wisp]
    return gone


def _is_old(context: Context, wisp: IssueDoc) -> bool:
    updated = when.instant(wisp.get("updated_at"))
    return updated is not None and updated <= context.now_ms - context.arguments.age


COMMANDS: Final = (
    Command(
        "mol wisp gc",
        "Delete ephemeral issues that are done with; outside of any project only with --project",
        _gc_arguments,
        _gc,
        aliases=("wisp gc",),
        examples=("moot mol wisp gc --age 2h --dry-run", "moot mol wisp gc --closed --force"),
    ),
    Command(
        "mol squash",
        "Put a digest in the place of a molecule's ephemeral steps",
        _squash_arguments,
        _squash,
        examples=(
            "moot mol squash bd-a1b2 --dry-run",
            'moot mol squash bd-a1b2 --summary "Released 1.2; all checks passed"',
        ),
    ),
    Command(
        "mol burn",
        "Delete molecules with their steps",
        _burn_arguments,
        _burn,
        examples=("moot mol burn bd-a1b2 --dry-run", "moot mol burn bd-a1b2 --force  # also if work on it has begun"),
    ),
)
"""The commands of this module."""
