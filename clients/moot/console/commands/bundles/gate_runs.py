"""gate discover: which run of GitHub's a gate waits for, found out by workflow, commit and time.

The user's own `gh` lists the runs of a branch. A run belongs to a gate if it is of the workflow that the gate names;
where it names none, if it is of this commit or began soon after the gate was made. Of several the one of this commit
is taken, then the one nearest in time.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.commands.bundles.gates import gates_of, needs_discovery
from moot.console.context import answer
from moot.console.lines.confirm import confirmed
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.durations import HELP, duration_ms
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import RefusedError
from moot_protocol.requests.gates import SetAwaited
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.text.json_text import UNREADABLE
from moot_protocol.time_units import MINUTE_MS

MAX_AGE_MS: Final = 30 * MINUTE_MS
SOON_MS: Final = 5 * MINUTE_MS
"""A run that begins so long after its gate was made, or before, belongs to it."""
_ENDINGS: Final = (".yml", ".yaml")
Run = dict[str, Any]


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-b", "--branch", default="", metavar="NAME", help="runs of this branch; else of the one here")
    parser.add_argument(
        "-a", "--max-age", type=duration_ms, default=MAX_AGE_MS, metavar="DURATION", help=f"runs no older: {HELP}"
    )
    filters.add_limit(parser, 10)
    filters.add_place(parser)
    add_dry_run(parser)


def _discover(context: Context) -> int:
    given = context.arguments
    gates = [gate for gate in gates_of(context) if needs_discovery(gate)]
    found: list[dict[str, Any]] = []
    if gates:
        runs, commit = _runs(context), _asked(context, "git-commit")
        for gate in gates:
            run = run_of(gate, runs, commit, since_ms=context.now_ms - given.max_age)
            if run is None:
                continue
            number = str(run["databaseId"])
            context.api.call(SetAwaited(actor=context.actor, dry_run=given.dry_run, id=gate["id"], await_id=number))
            found.append({"id": gate["id"], "await_id": number, "status": str(run.get("status", ""))})
    document = {"gates": len(gates), "updated": len(found), "dry_run": given.dry_run, "found": found}
    answer(context, document, _lines(context, gates, found))
    return exits.OK


def _runs(context: Context) -> list[Run]:
    """The latest runs of a branch, as the user's `gh` tells them.

    Raises:
        RefusedError: it isn't there, fails, or answers something else.
    """
    branch = context.arguments.branch or _asked(context, "git-branch") or "main"
    told = context.terminal.ask_tool("gh-runs", branch)
    try:
        runs = msgspec.json.decode(told, type=list[Run])
    except UNREADABLE as error:
        raise RefusedError("gh answered something else than was asked") from error
    return runs[: filters.checked_limit(context.arguments) or len(runs)]


def _asked(context: Context, question: str) -> str:
    """What git says of this folder; empty where there is no repository."""
    try:
        return context.terminal.ask_tool(question).strip()
    except RefusedError:
        return ""


def run_of(gate: IssueDoc, runs: Sequence[Run], commit: str, *, since_ms: int) -> Run | None:
    """The run that a gate waits for; None where none fits.

    Args:
        gate: the gate; what it waits for is empty or a workflow's name.
        runs: runs as `gh run list --json` has them.
        commit: the commit that is checked out; empty where none is.
        since_ms: runs that began before this moment fit no gate.
    """
    workflow, made = str(gate.get("await_id") or ""), when.instant(gate.get("created_at")) or 0
    fitting: list[tuple[bool, int, int]] = []
    for place, run in enumerate(runs):
        began = when.instant(run.get("createdAt"))
        if began is None or began < since_ms or not str(run.get("databaseId", "")).isdigit():
            continue
        is_of_commit, apart = bool(commit) and run.get("headSha") == commit, abs(began - made)
        if _is_of(workflow, run) if workflow else is_of_commit or apart <= SOON_MS:
            fitting.append((not is_of_commit, apart, place))
    return runs[min(fitting)[2]] if fitting else None


def _is_of(workflow: str, run: Mapping[str, Any]) -> bool:
    """Whether a run is of a workflow, which is named by its title or its file."""
    return _plain(workflow) in {_plain(str(run.get(name, ""))) for name in ("workflowName", "name")}


def _plain(name: str) -> str:
    folded = name.casefold()
    return next((folded.removesuffix(ending) for ending in _ENDINGS if folded.endswith(ending)), folded)


def _lines(context: Context, gates: Sequence[IssueDoc], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not gates:
        yield "No gate waits for a run that isn't known"
        return
    for each in found:
        yield f"  {neutralise(each['id'])} waits for run {each['await_id']} ({neutralise(each['status'])})"
    done = "Would update" if context.arguments.dry_run else "Updated"
    yield confirmed(context, f"{done} {several(len(found), 'gate')} of {len(gates)}")


COMMANDS: Final = (
    Command(
        "gate discover",
        "Find out which runs of GitHub's gates wait for",
        _arguments,
        _discover,
        examples=("moot gate discover --dry-run", "moot gate discover --branch main --max-age 2h"),
    ),
)
"""The commands of this module."""
