"""mol: formulas poured into issues, and how far what was poured is.

A *molecule* is an epic with the issues below it, poured from a formula or written by hand. A *wisp* is one whose issues
are ephemeral: they stand in no list of ready work and are cleared away by `mol wisp gc`.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.commands.bundles.formulas import add_formula
from moot.console.context import answer, carry_out
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, naming
from moot.console.molecules import pouring
from moot.console.molecules.molecule import Molecule, roots_of
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.actions import EpicStatus
from moot_protocol.requests.issues import Blocked, ListIssues, Ready, Show
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.requests.queries import Query
from moot_protocol.time_units import DAY_MS

OLD_MS: Final = DAY_MS
"""A wisp that nobody has changed for so long is told to be old."""
MOST_GATES: Final = 100
"""Closed gates that are looked at for what may go on."""


# -- pour, wisp --------------------------------------------------------------------------------------------------
def _pour_arguments(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument("--title", default="", metavar="TEXT", help="the epic's title; else the formula's name")
    parser.add_argument("--assignee", default="", metavar="NAME", help="who does the steps that name nobody")
    add_dry_run(parser)


def _wisp_arguments(parser: ArgumentParser) -> None:
    _pour_arguments(parser)
    parser.add_argument("--root-only", action="store_true", help="make the epic only, without its steps")


def _pour(context: Context) -> int:
    return _poured(context, ephemeral=False)


def _wisp(context: Context) -> int:
    return _poured(context, ephemeral=True)


def _poured(context: Context, *, ephemeral: bool) -> int:
    given = context.arguments
    whole = pouring.cooked(context, given.formula, pouring.values_of(given.var), given.plane)
    script = pouring.script_of(context, whole, title=given.title, assignee=given.assignee, ephemeral=ephemeral)
    steps = () if getattr(given, "root_only", False) else whole.steps
    made: list[IssueDoc] = carry_out(context, script if steps else script[:1])[: len(steps) + 1]
    document = {
        "new_epic_id": made[0]["id"],
        "id_mapping": pouring.id_mapping(whole, made),
        "created": len(made),
        "ephemeral": ephemeral,
        "attached": 0,
        "phase": "vapor" if ephemeral else "liquid",
    }
    what = "wisp" if ephemeral else "mol"
    done = f"Would pour {what} {neutralise(whole.name)}" if given.dry_run else f"Poured {what} {neutralise(whole.name)}"
    told = f"{done}: created {len(made)} issues"
    answer(context, document, [confirmed(context, told), f"  Root issue: {naming(made[0])}"])
    return exits.OK


# -- list --------------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="closed ones too")
    filters.add_place(parser)
    filters.add_limit(parser, 50)


def _list(context: Context) -> int:
    arguments = context.arguments
    place = Filter(
        projects=filters.projects_of(context), plane=arguments.plane, types=(pouring.EPIC,), labels=(pouring.LABEL,),
        has_metadata=(pouring.SOURCE,),
    )  # fmt: skip
    page = context.api.call(ListIssues(filter=place, all=arguments.all, limit=0))
    return _write_molecules(context, _page_of(context, page, lambda issue: not issue.get("ephemeral")))


def _page_of(context: Context, page: Page, belongs: Callable[[IssueDoc], bool]) -> Page:
    """Those issues of a whole list that belong here, as many as were asked for."""
    kept = [pair for pair in zip(page.issues, page.short, strict=True) if belongs(pair[0])]
    most = filters.checked_limit(context.arguments) or len(kept)
    return Page(
        issues=[issue for issue, _ in kept[:most]],
        total=len(kept),
        truncated=len(kept) > most,
        short=[short for _, short in kept[:most]],
    )


def _write_molecules(context: Context, page: Page) -> int:
    if context.json:
        documents.write_page(context, page)
    else:
        lines.write_issues(context, page, lines.issue_rows(style_of(context.terminal.facts), page, lines.CHILDREN))
    return exits.OK


def _wisp_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--type", default="", metavar="TYPE", help="only issues of this type")
    _list_arguments(parser)


def wisps_of(context: Context, *, closed: bool) -> Page:
    """The ephemeral issues of the projects that a command reads."""
    arguments = context.arguments
    projects = filters.projects_of(context)
    return context.api.call(Query(text="ephemeral=true", projects=projects, plane=arguments.plane, all=closed, limit=0))


def _wisp_list(context: Context) -> int:
    wanted = context.arguments.type
    found = wisps_of(context, closed=context.arguments.all)
    page = _page_of(context, found, lambda issue: not wanted or issue.get("issue_type") == wanted)
    if not context.json:
        return _write_molecules(context, page)
    wisps = [_wisp_entry(context, issue) for issue in page.issues]
    wisps.sort(key=lambda wisp: str(wisp["updated_at"]), reverse=True)
    old = sum(1 for wisp in wisps if wisp.get("old"))
    documents.write(context, {"wisps": wisps, "count": len(wisps)} | ({"old_count": old} if old else {}))
    documents.say_left_out(context, page)
    return exits.OK


def _wisp_entry(context: Context, issue: IssueDoc) -> dict[str, Any]:
    shown = {name: issue.get(name, "") for name in ("id", "title", "status", "priority")}
    labels = {"labels": issue["labels"]} if issue.get("labels") else {}
    times = {name: issue.get(name, "") for name in ("created_at", "updated_at")}
    updated = when.instant(issue.get("updated_at"))
    old = {"old": True} if updated is not None and context.now_ms - updated > OLD_MS else {}
    return shown | {"type": issue.get("issue_type", "")} | labels | times | old


# -- What became of it -------------------------------------------------------------------------------------------
def add_molecule(parser: ArgumentParser) -> None:
    """Add the molecule that is meant."""
    parser.add_argument("id", metavar="ID", help="the molecule's epic")
    parser.add_argument("--plane", default="", help="accepted for other commands' sake: the id tells it")


def _show_arguments(parser: ArgumentParser) -> None:
    add_molecule(parser)
    parser.add_argument("-p", "--parallel", action="store_true", help="which steps can be done at once")


def _show(context: Context) -> int:
    molecule = Molecule(context, context.arguments.id)
    parallel = context.arguments.parallel
    told = [*_progress_lines(molecule), *_issue_lines(context, molecule.steps)]
    if parallel and not context.json:
        groups = molecule.parallel()["parallel_groups"].items()
        told += [f"  {name}: {neutralise(', '.join(steps))}" for name, steps in groups]
    answer(context, molecule.shown(parallel=parallel) if context.json else {}, told)
    return exits.OK


def _mine_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the molecule's epic; else those that you work on")
    parser.add_argument("--for", dest="whose", default="", metavar="NAME", help="those that this one works on")
    filters.add_place(parser)


def _current_arguments(parser: ArgumentParser) -> None:
    _mine_arguments(parser)
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many steps; 0: all")
    parser.add_argument("--range", default="", metavar="A-B", help="the A-th to the B-th step, from 1")


def _molecules_meant(context: Context) -> list[Molecule]:
    """The molecule that is named, else those in which the actor, or who is named, has work in progress."""
    given = context.arguments
    if given.id:
        return [Molecule(context, given.id)]
    place = Filter(
        projects=filters.projects_of(context),
        plane=given.plane,
        statuses=(IN_PROGRESS,),
        assignee=given.whose or context.actor,
    )
    working = context.api.call(ListIssues(filter=place, limit=0)).issues
    return [Molecule(context, root) for root in sorted({root["id"] for root in roots_of(context, working).values()})]


def _progress(context: Context) -> int:
    found = _molecules_meant(context)
    document: Any = found[0].progress() if found else []
    answer(context, document, _progress_lines(found[0]) if found else ["No molecules in progress."])
    return exits.OK


def _progress_lines(molecule: Molecule) -> Iterator[str]:
    progress = molecule.progress()
    done = f"{progress['completed']} of {progress['total']} done ({progress.get('percent', 0):.0f} %)"
    yield f"{naming(molecule.epic)}: {done}"


def _current(context: Context) -> int:
    found = _molecules_meant(context)
    first, last = _steps_wanted(context)
    document = [molecule.current() for molecule in found] if context.json else []
    for each in document:
        each["steps"] = each["steps"][first:last]
    told = [line for molecule in found for line in _current_lines(context, molecule)]
    answer(context, document, told or ["No molecules in progress."])
    return exits.OK


def _steps_wanted(context: Context) -> tuple[int, int | None]:
    given = context.arguments
    if not given.range:
        return 0, filters.checked_limit(given) or None
    first, _, last = given.range.partition("-")
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and 0 < int(first) <= int(last)):
        raise RefusedError(f"{given.range!r} is no range of steps", code=Code.USAGE, hint="write --range 100-150")
    return int(first) - 1, int(last)


def _current_lines(context: Context, molecule: Molecule) -> Iterator[str]:
    yield from _progress_lines(molecule)
    yield from _issue_lines(context, [*molecule.with_status(IN_PROGRESS), *molecule.ready()])


def _issue_lines(context: Context, issues: Sequence[IssueDoc]) -> Iterator[str]:
    style = style_of(context.terminal.facts)
    yield from (lines.node_line(style, "  ", issue) for issue in issues)


def _last_activity(context: Context) -> int:
    activity = Molecule(context, context.arguments.id).last_activity()
    answer(context, activity, [neutralise(str(activity["last_activity"]))])
    return exits.OK


# -- stale -------------------------------------------------------------------------------------------------------
def _stale_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--blocking", action="store_true", help="only those that hold others up")
    parser.add_argument("--unassigned", action="store_true", help="only those that nobody has")
    parser.add_argument("--all", action="store_true", help="those without steps too")
    filters.add_place(parser)


def _stale(context: Context) -> int:
    given, projects = context.arguments, filters.projects_of(context)
    held: dict[str, list[str]] = {}
    for issue in context.api.call(Blocked(filter=Filter(projects=projects, plane=given.plane), limit=0)).issues:
        for blocker in issue.get("blocked_by", ()):
            held.setdefault(blocker, []).append(issue["id"])
    found = []
    for each in context.api.call(EpicStatus(projects=projects, plane=given.plane)):
        epic, blocking = each["epic"], held.get(each["epic"]["id"], [])
        complete = each["eligible_for_close"] or (given.all and each["total_children"] == 0)
        if complete and (blocking or not given.blocking) and not (given.unassigned and epic.get("assignee")):
            found.append(_stale_entry(each, blocking))
    blocking_count = sum(1 for each in found if each["blocking_count"])
    document = {"stale_molecules": found, "total_count": len(found), "blocking_count": blocking_count}
    told = (_stale_line(context, each) for each in found)
    answer(context, document, told if found else ["No stale molecules found."])
    return exits.OK


def _stale_entry(status: dict[str, Any], blocking: list[str]) -> dict[str, Any]:
    epic = status["epic"]
    entry = {"id": epic["id"], "title": epic.get("title", "")}
    entry |= {name: status[name] for name in ("total_children", "closed_children")}
    entry |= {"assignee": epic["assignee"]} if epic.get("assignee") else {}
    return entry | ({"blocking_issues": blocking} if blocking else {}) | {"blocking_count": len(blocking)}


def _stale_line(context: Context, entry: dict[str, Any]) -> str:
    done = f"({entry['closed_children']}/{entry['total_children']})"
    holding = f" [blocking {entry['blocking_count']}]" if entry["blocking_count"] else ""
    program = context.terminal.facts.program
    return f"{naming(entry)} {done}{holding}; `{program} close {neutralise(entry['id'])}`"


# -- ready: what may go on since a gate was closed ---------------------------------------------------------------
def _gated_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--gated", action="store_true", help="accepted for bd's sake: this is what is told anyway")
    filters.add_place(parser)


def ready_gated(context: Context) -> int:
    """Tell the molecules whose next step waited for a gate that is closed now, and that are on nobody's hook."""
    found = _gated(context)
    told = (
        f"{naming({'id': each['molecule_id'], 'title': each['molecule_title']})}: {naming(each['ready_step'])}"
        for each in found
    )
    document = {"molecules": found, "count": len(found)}
    answer(context, document, told if found else ["No molecules ready for gate-resume dispatch"])
    return exits.OK


def _gated(context: Context) -> list[dict[str, Any]]:
    projects, plane = filters.projects_of(context), context.arguments.plane
    closed = Filter(projects=projects, plane=plane, types=("gate",), statuses=(CLOSED,))
    gates = context.api.call(ListIssues(filter=closed, sort="closed", limit=MOST_GATES)).issues
    if not gates:
        return []
    place = Filter(projects=projects, plane=plane)
    ready = {issue["id"]: issue for issue in context.api.call(Ready(filter=place, limit=0)).issues}
    hooked = context.api.call(
        ListIssues(filter=Filter(projects=projects, plane=plane, statuses=("hooked",)), limit=0)
    ).issues
    taken = {issue["id"] for issue in (*hooked, *roots_of(context, hooked).values())}
    found: dict[str, dict[str, Any]] = {}
    for gate in context.api.call(Show(ids=tuple(gate["id"] for gate in gates))):
        steps = [ready[each["id"]] for each in gate.get("dependents", ()) if each["id"] in ready]
        roots = roots_of(context, steps)
        for step in steps:
            root = roots.get(step["id"])
            if root is None or root["id"] in taken or root["id"] in found:
                continue
            about = {"molecule_id": root["id"], "molecule_title": root.get("title", "")}
            found[root["id"]] = about | {"closed_gate": documents.changed(gate), "ready_step": step}
    return [found[root] for root in sorted(found)]


COMMANDS: Final = (
    Command(
        "mol pour",
        "Make the issues of a formula: an epic and its steps, all or nothing",
        _pour_arguments,
        _pour,
        aliases=("pour",),
        examples=("moot mol pour release --var version=1.2 --assignee alice",),
    ),
    Command(
        "mol wisp",
        "The same with ephemeral issues",
        _wisp_arguments,
        _wisp,
        aliases=("wisp create", "mol wisp create"),
        examples=("moot mol wisp patrol",),
    ),
    Command(
        "mol wisp list",
        "Ephemeral issues that are not closed",
        _wisp_list_arguments,
        _wisp_list,
        aliases=("wisp list",),
        examples=("moot mol wisp list", "moot mol wisp list --all --limit 0  # closed ones too, however many"),
    ),
    Command(
        "mol list",
        "Molecules that are not closed",
        _list_arguments,
        _list,
        examples=("moot mol list", "moot mol list --all --json  # closed ones too"),
    ),
    Command(
        "mol show",
        "A molecule and its steps",
        _show_arguments,
        _show,
        examples=("moot mol show bd-a1b2", "moot mol show bd-a1b2 --parallel  # what can be done at once"),
    ),
    Command(
        "mol current",
        "What is in progress and what is next",
        _current_arguments,
        _current,
        examples=(
            "moot mol current  # of the molecules that you work on",
            "moot mol current bd-a1b2 --range 10-20  # its steps 10 to 20",
        ),
    ),
    Command(
        "mol progress",
        "How far a molecule is",
        _mine_arguments,
        _progress,
        examples=("moot mol progress bd-a1b2", "moot mol progress --for alice/claude-3"),
    ),
    Command(
        "mol last-activity",
        "When a molecule was last changed, and by what",
        add_molecule,
        _last_activity,
        examples=("moot mol last-activity bd-a1b2",),
    ),
    Command(
        "mol stale",
        "Molecules that are done and not closed",
        _stale_arguments,
        _stale,
        examples=("moot mol stale", "moot mol stale --blocking  # those that others wait for"),
    ),
    Command(
        "mol ready",
        "Molecules that may go on since a gate was closed",
        _gated_arguments,
        ready_gated,
        examples=("moot mol ready",),
    ),
)
"""The commands of this module."""
