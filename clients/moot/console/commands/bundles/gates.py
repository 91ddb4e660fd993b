"""gate: issues that hold others up until something outside has happened.

What has happened is found out here, when somebody asks: time by this clock, issues by the daemon, runs and pull
requests by the user's own `gh`. Nothing is asked for by itself.
"""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, need_project
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, finished_among, finished_lines, is_unchanged, naming, nothing_to_do
from moot.console.text import when
from moot.console.text.durations import HELP, duration_ms
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.gates import AWAIT_TYPES, GATE, Await, CreateGate
from moot_protocol.requests.issues import AddComment, Close, ListIssues, Show, Update
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.text.json_text import UNREADABLE

RESOLVED: Final = "resolved"
PENDING: Final = "pending"
FAILED: Final = "failed"
"""What it waited for has come out otherwise, or it is overdue."""
ERROR: Final = "error"
"""What it waits for can't be asked for."""
ASK_A_HUMAN: Final = "human"
"""The label that puts an issue before a human (`human list`)."""
_NS: Final = 1_000_000


# -- create ------------------------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-t", "--type", dest="await_type", choices=AWAIT_TYPES, default="human", metavar="TYPE",
        help=f"what it waits for: {', '.join(AWAIT_TYPES)} (default human)",
    )  # fmt: skip
    add("--await-id", default="", metavar="ID", help="the issue, or the number of the run or pull request")
    add("--timeout", type=duration_ms, default=0, metavar="DURATION", help=f"how long a timer waits: {HELP}")
    add("--blocks", action="append", default=[], metavar="ID", help="the issue that waits for it, repeatable")
    add("-r", "--reason", default="", metavar="TEXT", help="why")
    add("--title", default="", metavar="TEXT", help="its title; else what it waits for")
    add_dry_run(parser)


def _create(context: Context) -> int:
    given = context.arguments
    gate = context.api.call(
        CreateGate(
            actor=context.actor,
            dry_run=given.dry_run,
            project=need_project(context),
            plane=context.plane,
            await_type=given.await_type,
            await_id=given.await_id,
            timeout_ms=given.timeout,
            blocks=tuple(given.blocks),
            title=given.title,
            reason=given.reason,
        )
    )
    done = "Would create" if given.dry_run else "Created"
    told = [confirmed(context, f"{done} gate {neutralise(gate['id'])} (type: {given.await_type})")]
    told += [f"  Blocks: {neutralise(blocked)}" for blocked in given.blocks]
    answer(context, gate, told)
    return exits.OK


# -- list, show --------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="only those that hold this issue up")
    parser.add_argument("--all", "-a", action="store_true", help="resolved ones too")
    filters.add_place(parser)
    filters.add_limit(parser, 50)


def _gates(context: Context, *, closed: bool, limit: int) -> Page:
    place = Filter(projects=filters.projects_of(context), plane=context.arguments.plane, types=(GATE,))
    return context.api.call(ListIssues(filter=place, all=closed, limit=limit, texts=True))


def gates_of(context: Context) -> list[IssueDoc]:
    """The gates that are not resolved, of the projects that a command reads."""
    return _gates(context, closed=False, limit=0).issues


def _holding_up(context: Context, typed: str) -> Page:
    """The gates that hold one issue up."""
    needed = context.api.call(Show(ids=(typed,)))[0].get("dependencies", ())
    ids = tuple(str(edge["depends_on_id"]) for edge in needed if edge.get("type") != PARENT)
    found = context.api.call(Show(ids=ids)) if ids else []
    every = context.arguments.all
    gates = [each for each in found if each.get("issue_type") == GATE and (every or each.get("status") != CLOSED)]
    return Page(issues=gates, total=len(gates), truncated=False)


def _list(context: Context) -> int:
    if context.arguments.id:
        page = _holding_up(context, context.arguments.id)
    else:
        page = _gates(context, closed=context.arguments.all, limit=filters.checked_limit(context.arguments))
    if context.json:
        documents.write_page(context, page)
        return exits.OK
    style = style_of(context.terminal.facts)
    rows = [
        (shown, lines.text_of(gate, "status"), _awaits(gate), lines.text_of(gate, "title"))
        for shown, gate in zip(lines.id_cells(style, page), page.issues, strict=True)
    ]
    lines.write_issues(context, page, lines.lines_of(style, rows))
    return exits.OK


def _awaits(gate: Mapping[str, Any]) -> str:
    timeout = gate.get("timeout")
    lasts = f"({when.lasted(timeout // _NS)})" if isinstance(timeout, int) and timeout > 0 else ""
    return " ".join(filter(None, (lines.text_of(gate, "await_type"), lines.text_of(gate, "await_id"), lasts)))


def _id_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the gate")


def _gate(context: Context) -> IssueDoc:
    """The gate that is named.

    Raises:
        RefusedError: it is none.
    """
    gate = context.api.call(Show(ids=(context.arguments.id,)))[0]
    if gate.get("issue_type") != GATE:
        raise RefusedError(f"{gate['id']} is no gate", code=Code.CONFLICT, hint="see `moot gate list`")
    return gate


def _show(context: Context) -> int:
    gate = _gate(context)
    answer(context, gate, _page(gate))
    return exits.OK


def _page(gate: IssueDoc) -> Iterator[str]:
    yield naming(gate)
    waiters = gate.get("waiters")
    facts = {
        "status": lines.text_of(gate, "status"),
        "waits for": _awaits(gate),
        "reason": lines.text_of(gate, "description"),
        "closed": lines.text_of(gate, "close_reason"),
        "waiting": lines.text_of(gate, "waiters") if isinstance(waiters, list) else "",
    }
    for name, told in facts.items():
        if told:
            yield f"  {name}: {told}"
    for other in gate.get("dependents", ()):
        yield f"  holds up: {naming(other)}"


# -- resolve, add-waiter -----------------------------------------------------------------------------------------
def _resolve_arguments(parser: ArgumentParser) -> None:
    _id_arguments(parser)
    parser.add_argument("-r", "--reason", default="Resolved", metavar="TEXT", help="how it came out")
    add_dry_run(parser)


def _resolve(context: Context) -> int:
    gate = _gate(context)
    closed = _close(context, gate, context.arguments.reason)
    done = "Would resolve gate" if context.arguments.dry_run else "Gate resolved"
    answer(context, documents.changed(closed), _resolved_lines(context, done, closed))
    return exits.OK


def _close(context: Context, gate: IssueDoc, reason: str) -> IssueDoc:
    dry_run = context.arguments.dry_run
    return context.api.call(Close(actor=context.actor, dry_run=dry_run, id=gate["id"], reason=reason, force=True))


def _resolved_lines(context: Context, done: str, gate: IssueDoc) -> Iterator[str]:
    if is_unchanged(gate):
        yield nothing_to_do(f"gate {naming(gate)} is resolved already")
    else:
        yield confirmed(context, f"{done}: {naming(gate)}")
    yield from finished_lines(context, [gate])
    if gate.get("_unblocked"):
        yield f"  Newly unblocked: {', '.join(map(neutralise, gate['_unblocked']))}"
    if isinstance(gate.get("waiters"), list):
        yield f"  Waiting for it: {lines.text_of(gate, 'waiters')}"


def _waiter_arguments(parser: ArgumentParser) -> None:
    _id_arguments(parser)
    parser.add_argument("waiter", metavar="NAME", help="who wants to know when it is resolved")
    add_dry_run(parser)


def _add_waiter(context: Context) -> int:
    gate = _gate(context)
    given = context.arguments
    changed = context.api.call(Await(actor=context.actor, dry_run=given.dry_run, id=gate["id"], waiter=given.waiter))
    waiter, gate_named = neutralise(given.waiter), naming(changed)
    line = (
        nothing_to_do(f"{waiter} already waits for {gate_named}")
        if is_unchanged(changed)
        else confirmed(context, f"{waiter} waits for {gate_named}")
    )
    answer(context, changed, [line])
    return exits.OK


# -- check -------------------------------------------------------------------------------------------------------
class Finding(NamedTuple):
    """What became of what a gate waits for."""

    result: str
    reason: str


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-t", "--type", dest="await_type", default="", metavar="TYPE", help="only these; `gh` for both")
    parser.add_argument("-e", "--escalate", action="store_true", help="put what failed or is overdue before a human")
    filters.add_limit(parser, 0, "-l")
    filters.add_place(parser)
    add_dry_run(parser)


def _check(context: Context) -> int:
    wanted = context.arguments.await_type
    gates = [gate for gate in gates_of(context) if _is_of(gate, wanted)]
    gates = gates[: filters.checked_limit(context.arguments) or len(gates)]
    found: list[dict[str, Any]] = []
    closed: list[IssueDoc] = []
    for gate in gates:
        finding = look(context, gate)
        if finding.result == RESOLVED:
            closed.append(_close(context, gate, finding.reason))
        if finding.result == FAILED and context.arguments.escalate:
            _escalate(context, gate, finding.reason)
        found.append({"id": gate["id"], "await_type": gate.get("await_type", ""), **finding._asdict()})
    count = Counter(each["result"] for each in found)
    document: dict[str, Any] = {"checked": len(found), "resolved": count[RESOLVED], "escalated": count[FAILED]}
    document |= {"errors": count[ERROR], "pending": count[PENDING], "dry_run": context.arguments.dry_run}
    document |= {"gates": found} | finished_among(closed)
    answer(context, document, [*_found_lines(found), *finished_lines(context, closed)])
    return exits.OK


def _escalate(context: Context, gate: IssueDoc, reason: str) -> None:
    """Put a gate before a human, once, and say why."""
    if ASK_A_HUMAN in gate.get("labels", ()):
        return
    actor, dry_run = context.actor, context.arguments.dry_run
    mutations: list[tuple[str, Mutation[Any]]] = [
        (gate["id"], Update(actor=actor, dry_run=dry_run, id=gate["id"], add_labels=(ASK_A_HUMAN,))),
        (gate["id"], AddComment(actor=actor, dry_run=dry_run, id=gate["id"], text=reason)),
    ]
    carry_out(context, mutations)


def _is_of(gate: IssueDoc, wanted: str) -> bool:
    kind = str(gate.get("await_type", ""))
    return wanted in {"", "all", kind} or kind.startswith(f"{wanted}:") or {kind, wanted} == {"issue", "bead"}


def _found_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    for each in found:
        yield f"{neutralise(str(each['id']))} {each['result']}: {neutralise(each['reason'])}"
    if not found:
        yield "No open gates found."


def needs_discovery(gate: Mapping[str, Any]) -> bool:
    """Whether a gate waits for a run whose number isn't known: it names none, or a workflow."""
    awaited = str(gate.get("await_id") or "")
    return gate.get("await_type") == "gh:run" and not (awaited.isascii() and awaited.isdigit())


def look(context: Context, gate: IssueDoc) -> Finding:
    """Whether what a gate waits for has happened."""
    kind = gate.get("await_type")
    asker = _ASKED.get(kind) if isinstance(kind, str) else None
    try:
        found = asker(context, gate) if asker else Finding(PENDING, "somebody has to resolve it")
    except RefusedError as error:
        return Finding(ERROR, error.message)
    if found.result == PENDING and kind != "timer" and _is_over(context, gate):
        return Finding(FAILED, f"overdue; {found.reason}")
    return found


def _is_over(context: Context, gate: IssueDoc) -> bool:
    created, timeout = when.instant(gate.get("created_at")), gate.get("timeout")
    return created is not None and isinstance(timeout, int) and 0 < timeout <= (context.now_ms - created) * _NS


def _timer(context: Context, gate: IssueDoc) -> Finding:
    if _is_over(context, gate):
        return Finding(RESOLVED, "its time is over")
    return Finding(PENDING, "its time isn't over")


def _issue(context: Context, gate: IssueDoc) -> Finding:
    awaited = context.api.call(Show(ids=(str(gate.get("await_id", "")),)))[0]
    status = str(awaited.get("status"))
    return Finding(RESOLVED if status == CLOSED else PENDING, f"{awaited['id']} is {status}")


def _run(context: Context, gate: IssueDoc) -> Finding:
    if needs_discovery(gate):
        return Finding(PENDING, f"its run isn't known: `{context.terminal.facts.program} gate discover` looks for it")
    run = _told(context, "gh-run", gate)
    status, conclusion = run.get("status"), run.get("conclusion")
    if status != "completed":
        return Finding(PENDING, f"the run is {status}")
    return Finding(RESOLVED if conclusion == "success" else FAILED, f"the run ended: {conclusion}")


def _pull_request(context: Context, gate: IssueDoc) -> Finding:
    state = _told(context, "gh-pr", gate).get("state")
    results = {"MERGED": RESOLVED, "CLOSED": FAILED}
    return Finding(results.get(str(state), PENDING), f"the pull request is {str(state).lower()}")


def _told(context: Context, question: str, gate: IssueDoc) -> dict[str, Any]:
    """What the user's `gh` says.

    Raises:
        RefusedError: it isn't there, fails, or answers something else.
    """
    told = context.terminal.ask_tool(question, str(gate.get("await_id", "")))
    try:
        return msgspec.json.decode(told, type=dict[str, Any])
    except UNREADABLE as error:
        raise RefusedError("gh answered something else than was asked") from error


_ASKED: Final[dict[str, Callable[[Context, IssueDoc], Finding]]] = {
    "timer": _timer,
    "issue": _issue,
    "bead": _issue,
    "gh:run": _run,
    "gh:pr": _pull_request,
}


COMMANDS: Final = (
    Command(
        "gate create",
        "Make a gate: issues wait until something outside has happened",
        _create_arguments,
        _create,
        examples=(
            'moot gate create --blocks bd-a1b2 -r "Legal has to agree"',
            "moot gate create --type timer --timeout 2h --blocks bd-a1b2",
            "moot gate create --type gh:pr --await-id 42 --blocks bd-a1b2",
        ),
    ),
    Command("gate list", "Gates that are open", _list_arguments, _list, examples=("moot gate list --all",)),
    Command("gate show", "A gate, and what it holds up", _id_arguments, _show, examples=("moot gate show bd-a1b2",)),
    Command(
        "gate check",
        "Look what has happened, and resolve the gates that waited for it",
        _check_arguments,
        _check,
        examples=("moot gate check", "moot gate check --type gh --dry-run", "moot gate check --escalate"),
    ),
    Command(
        "gate resolve",
        "Resolve a gate by hand",
        _resolve_arguments,
        _resolve,
        aliases=("gate close",),
        examples=('moot gate resolve bd-a1b2 -r "Agreed"',),
    ),
    Command(
        "gate add-waiter",
        "Name somebody who waits for a gate",
        _waiter_arguments,
        _add_waiter,
        aliases=("gate wait",),
        examples=("moot gate add-waiter bd-a1b2 alice",),
    ),
)
"""The commands of this module."""
