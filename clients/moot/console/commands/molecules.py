"""formula, cook, mol: work described once, poured into issues, and what became of it.

A *molecule* is the epic that a formula was poured into, with the issues below it. A *wisp* is one whose issues are
ephemeral: they stand in no list of ready work and are cleared away by `mol wisp gc`.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import documents, exits, pouring, when
from moot.console import filter_arguments as filters
from moot.console import issue_lines as lines
from moot.console.amounts import several
from moot.console.command import Command, Context
from moot.console.confirm import confirmed, naming
from moot.console.context import answer, carry_out, need_project
from moot.console.durations import HELP, duration_ms
from moot.console.issue_arguments import add_dry_run, batched
from moot.console.safe_text import neutralise
from moot.console.style import style_of
from moot_protocol.document_requests import Documents, ShowDocument
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issue import CLOSED
from moot_protocol.limits import FORMULA_STEPS
from moot_protocol.listing import Filter, IssueDoc, Page
from moot_protocol.requests import Create, Delete, IssueFields, ListIssues, Ready, Show

_DAY_MS: Final = 24 * 3600 * 1000


# -- formula -----------------------------------------------------------------------------------------------------
def _no_arguments(parser: ArgumentParser) -> None:
    """Nothing beyond the flags of every command."""


def _formula_list(context: Context) -> int:
    found = context.api.call(Documents(kind="formula"))
    rows = [[lines.text_of(each, name) for name in ("name", "version", "standing", "title")] for each in found]
    answer(context, found, lines.lines_of(style_of(context.terminal.facts), rows) or ["There is no formula"])
    return exits.OK


def _name_argument(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the formula")


def _formula_show(context: Context) -> int:
    name = context.arguments.name.removeprefix("formula/")
    shown = context.api.call(ShowDocument(name=f"formula/{name}", home=context.plane))
    told = neutralise(str(shown["text"]), keep_newlines=True).splitlines()
    standing = neutralise(str(shown["standing"]))
    answer(
        context, shown, [f"{neutralise(str(shown['id']))} {neutralise(str(shown['version']))} ({standing})", "", *told]
    )
    return exits.OK


# -- cook, pour, wisp --------------------------------------------------------------------------------------------
def _cook_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("formula", metavar="FORMULA", help="its name, or a file of your own (with / or .toml)")
    parser.add_argument("--var", action="append", metavar="NAME=VALUE", help="the value of a variable, repeatable")


def _cook(context: Context) -> int:
    given = context.arguments
    whole = pouring.cooked(context, given.formula, pouring.values_of(given.var))
    steps = [step._asdict() for step in whole.steps]
    answer(context, whole._asdict() | {"steps": steps}, _step_lines(whole.steps))
    return exits.OK


def _step_lines(steps: Sequence[Any]) -> Iterator[str]:
    for step in steps:
        needs = [*step.needs, *(f"children of {target}" for target, _ in step.waits_for)]
        after = f" (after {neutralise(', '.join(needs))})" if needs else ""
        yield f"{'  ' if step.parent else ''}{neutralise(step.id)}: {neutralise(step.title)}{after}"


def _pour_arguments(parser: ArgumentParser) -> None:
    _cook_arguments(parser)
    parser.add_argument("--title", default="", metavar="TEXT", help="the epic's title; else the formula's name")
    parser.add_argument("--assignee", default="", metavar="NAME", help="who does the steps that name nobody")
    add_dry_run(parser)


def _pour(context: Context) -> int:
    return _poured(context, ephemeral=False)


def _wisp(context: Context) -> int:
    return _poured(context, ephemeral=True)


def _poured(context: Context, *, ephemeral: bool) -> int:
    given = context.arguments
    whole = pouring.cooked(context, given.formula, pouring.values_of(given.var))
    script = pouring.script_of(context, whole, title=given.title, assignee=given.assignee, ephemeral=ephemeral)
    made: list[IssueDoc] = carry_out(context, script)[: len(whole.steps) + 1]
    ids = {step.id: issue["id"] for step, issue in zip(whole.steps, made[1:], strict=True)}
    document = {"new_epic_id": made[0]["id"], "id_mapping": ids, "created": len(made), "ephemeral": ephemeral}
    done = "Would pour" if given.dry_run else "Poured"
    told = f"{done} {neutralise(whole.name)} into {naming(made[0])}: {several(len(ids), 'step')}"
    answer(context, document, [confirmed(context, told)])
    return exits.OK


# -- What became of it -------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="closed ones too")
    filters.add_place(parser)
    filters.add_limit(parser, 50)


def _molecules(context: Context, *, ephemeral: bool) -> Page:
    arguments = context.arguments
    place = Filter(
        projects=filters.projects_of(context), plane=arguments.plane, types=(pouring.EPIC,), labels=(pouring.LABEL,),
        has_metadata=(pouring.SOURCE,),
    )  # fmt: skip
    page = context.api.call(ListIssues(filter=place, all=arguments.all, limit=0))
    kept = [pair for pair in zip(page.issues, page.short, strict=False) if bool(pair[0].get("ephemeral")) is ephemeral]
    most = filters.checked_limit(arguments) or len(kept)
    shown = kept[:most]
    return Page(
        issues=[issue for issue, _ in shown], total=len(kept), truncated=len(kept) > most, short=[n for _, n in shown]
    )


def _write_molecules(context: Context, page: Page) -> int:
    if context.json:
        documents.write_page(context, page)
    else:
        lines.write_issues(context, page, lines.issue_rows(style_of(context.terminal.facts), page, lines.CHILDREN))
    return exits.OK


def _list(context: Context) -> int:
    return _write_molecules(context, _molecules(context, ephemeral=False))


def _wisp_list(context: Context) -> int:
    return _write_molecules(context, _molecules(context, ephemeral=True))


def _id_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the molecule's epic")
    parser.add_argument("--plane", default="", help="accepted for other commands' sake: the id tells it")


class Molecule:
    """A molecule as it stands: its epic and what is below it, in the formula's order.

    Args:
        context: the command's.
        typed: what names the epic.

    Raises:
        RefusedError: it was not poured from a formula.
    """

    def __init__(self, context: Context, typed: str) -> None:
        self.epic = context.api.call(Show(ids=(typed,)))[0]
        if pouring.SOURCE not in self.epic.get("metadata", {}) or pouring.STEP in self.epic["metadata"]:
            raise RefusedError(f"{self.epic['id']} is no molecule", code=Code.CONFLICT, hint="see `moot mol list`")
        self._place = Filter(parent=self.epic["id"])
        below = context.api.call(ListIssues(filter=self._place, all=True, limit=0, sort="created", reverse=True)).issues
        self.steps = sorted(below, key=_order)
        self._context = context

    def with_status(self, status: str) -> list[IssueDoc]:
        """Its steps of one status."""
        return [step for step in self.steps if step.get("status") == status]

    def ready(self) -> list[IssueDoc]:
        """Its steps that can be worked on now."""
        wisp = bool(self.epic.get("ephemeral"))
        return self._context.api.call(Ready(filter=self._place, limit=0, include_ephemeral=wisp)).issues

    def progress(self) -> dict[str, Any]:
        """How far it is: `{"id", "title", "total", "completed", "in_progress", "percent"}`."""
        done, total = len(self.with_status(CLOSED)), len(self.steps)
        return {
            "id": self.epic["id"],
            "title": self.epic.get("title", ""),
            "total": total,
            "completed": done,
            "in_progress": len(self.with_status("in_progress")),
            "percent": 100 * done // total if total else 0,
        }


def _order(step: IssueDoc) -> int:
    """A step's place in its formula; what was added later comes last."""
    place = step.get("metadata", {}).get(pouring.ORDER)
    return place if isinstance(place, int) else FORMULA_STEPS


def _show(context: Context) -> int:
    molecule = Molecule(context, context.arguments.id)
    progress = molecule.progress()
    document = {"epic": molecule.epic, "steps": molecule.steps, "progress": progress}
    answer(context, document, [*_progress_lines(molecule), *_issue_lines(context, molecule.steps)])
    return exits.OK


def _progress(context: Context) -> int:
    molecule = Molecule(context, context.arguments.id)
    answer(context, molecule.progress(), _progress_lines(molecule))
    return exits.OK


def _progress_lines(molecule: Molecule) -> Iterator[str]:
    progress = molecule.progress()
    yield f"{naming(molecule.epic)}: {progress['completed']} of {progress['total']} done ({progress['percent']} %)"


def _current(context: Context) -> int:
    molecule = Molecule(context, context.arguments.id)
    working, ready = molecule.with_status("in_progress"), molecule.ready()
    working_ids = {step["id"] for step in working}
    following = [step for step in ready if step["id"] not in working_ids]
    document = {"id": molecule.epic["id"], "in_progress": working, "ready": following, **molecule.progress()}
    document["in_progress"] = working
    told = [*_progress_lines(molecule), *_issue_lines(context, working), *_issue_lines(context, following)]
    answer(context, document, told)
    return exits.OK


def _issue_lines(context: Context, issues: Sequence[IssueDoc]) -> Iterator[str]:
    style = style_of(context.terminal.facts)
    yield from (lines.node_line(style, "  ", issue) for issue in issues)


# -- Clearing away -----------------------------------------------------------------------------------------------
def _squash_arguments(parser: ArgumentParser) -> None:
    _id_arguments(parser)
    parser.add_argument(
        "--summary", default="", metavar="TEXT", help="what came of it; else the steps and their reasons"
    )
    parser.add_argument("--keep-children", action="store_true", help="leave the steps there")
    add_dry_run(parser)


def _squash(context: Context) -> int:
    given = context.arguments
    molecule = Molecule(context, given.id)
    title = f"Digest: {molecule.epic.get('title', '')}"[:500]
    text = given.summary or "\n".join(map(_told_step, molecule.steps))
    fields = IssueFields(title=title, description=text, status=CLOSED, close_reason=f"Squashed {molecule.epic['id']}")
    digest = Create(
        actor=context.actor,
        dry_run=given.dry_run,
        project=need_project(context),
        plane=context.plane,
        fields=fields,
        metadata={"squashed_from": molecule.epic["id"]},
    )
    gone = [] if given.keep_children else [*molecule.steps, molecule.epic]
    made = carry_out(context, [("digest", digest), *_deletions(context, gone, "squashed")])[0]
    document = {"molecule_id": molecule.epic["id"], "digest_id": made["id"], "deleted": len(gone)}
    done = "Would squash" if given.dry_run else "Squashed"
    answer(context, document, [confirmed(context, f"{done} {naming(molecule.epic)} into {naming(made)}")])
    return exits.OK


def _told_step(step: IssueDoc) -> str:
    reason = step.get("close_reason")
    return f"- {step.get('title', '')} ({step.get('status')}{f': {reason}' if reason else ''})"


def _burn_arguments(parser: ArgumentParser) -> None:
    _id_arguments(parser)
    parser.add_argument("-f", "--force", action="store_true", help="also if work on it has begun")
    add_dry_run(parser)


def _burn(context: Context) -> int:
    given = context.arguments
    molecule = Molecule(context, given.id)
    begun = molecule.with_status("in_progress")
    if begun and not given.force:
        raise RefusedError(
            f"{several(len(begun), 'step')} of {molecule.epic['id']} in progress",
            code=Code.CONFLICT,
            hint="add --force",
        )
    gone = [*molecule.steps, molecule.epic]
    for script in batched([each] for each in _deletions(context, gone, "burned")):
        carry_out(context, script)
    done = "Would delete" if given.dry_run else "Deleted"
    told = f"{done} {naming(molecule.epic)} with {several(len(molecule.steps), 'step')}; `undelete` brings them back"
    answer(context, {"molecule_id": molecule.epic["id"], "deleted": len(gone)}, [confirmed(context, told)])
    return exits.OK


def _deletions(context: Context, issues: Sequence[IssueDoc], reason: str) -> list[tuple[str, Any]]:
    dry_run = context.arguments.dry_run
    return [
        (issue["id"], Delete(actor=context.actor, dry_run=dry_run, id=issue["id"], reason=reason)) for issue in issues
    ]


def _gc_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--age", type=duration_ms, default=_DAY_MS, metavar="DURATION", help=f"unchanged so long: {HELP}"
    )
    parser.add_argument("--all", action="store_true", help="those not closed too")
    filters.add_place(parser)
    parser.add_argument("-n", "--limit", type=int, default=0, metavar="N", help="wisps at most; 0: all")
    add_dry_run(parser)


def _gc(context: Context) -> int:
    given = context.arguments
    every = given.all
    given.all = True
    wisps = [wisp for wisp in _molecules(context, ephemeral=True).issues if _is_old(context, wisp)]
    found = [Molecule(context, wisp["id"]) for wisp in wisps]
    done = [each for each in found if every or all(step.get("status") == CLOSED for step in each.steps)]
    for molecule in done:
        for script in batched([each] for each in _deletions(context, [*molecule.steps, molecule.epic], "cleared away")):
            carry_out(context, script)
    verb = "Would clear away" if given.dry_run else "Cleared away"
    ids = [molecule.epic["id"] for molecule in done]
    answer(
        context, {"deleted": ids, "dry_run": given.dry_run}, [confirmed(context, f"{verb} {several(len(ids), 'wisp')}")]
    )
    return exits.OK


def _is_old(context: Context, wisp: IssueDoc) -> bool:
    updated = when.instant(wisp.get("updated_at"))
    return updated is not None and updated <= context.now_ms - context.arguments.age


COMMANDS: Final = (
    Command("formula list", "Formulas, and whose they are", _no_arguments, _formula_list),
    Command("formula show", "A formula's text", _name_argument, _formula_show),
    Command(
        "cook",
        "A formula's steps with values in them; makes nothing",
        _cook_arguments,
        _cook,
        examples=("moot cook release --var version=1.2", "moot cook ./release.toml --json"),
    ),
    Command(
        "mol pour",
        "Make the issues of a formula: an epic and its steps, all or nothing",
        _pour_arguments,
        _pour,
        examples=("moot mol pour release --var version=1.2 --assignee alice",),
    ),
    Command(
        "mol wisp",
        "The same with ephemeral issues",
        _pour_arguments,
        _wisp,
        aliases=("wisp create", "mol wisp create"),
        examples=("moot mol wisp patrol",),
    ),
    Command("mol wisp list", "Wisps that are not closed", _list_arguments, _wisp_list, aliases=("wisp list",)),
    Command(
        "mol wisp gc",
        "Delete wisps whose steps are done",
        _gc_arguments,
        _gc,
        aliases=("wisp gc",),
        examples=("moot mol wisp gc --age 2h --dry-run",),
    ),
    Command("mol list", "Molecules that are not closed", _list_arguments, _list),
    Command("mol show", "A molecule and its steps", _id_arguments, _show),
    Command("mol current", "What is in progress and what is next", _id_arguments, _current),
    Command("mol progress", "How far a molecule is", _id_arguments, _progress),
    Command("mol squash", "Put a digest in the place of a molecule", _squash_arguments, _squash),
    Command("mol burn", "Delete a molecule with its steps", _burn_arguments, _burn),
)
"""The commands of this module."""
