"""Whether all is well: doctor and its checks, repair-deps, ping, and what `bd` does to its database.

`doctor` changes nothing unless told to, and what it deletes or unlinks then can be had back.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any, Final

from moot.console import as_bd, documents, exits
from moot.console.arguments.filters import projects_of
from moot.console.arguments.several_issues import batched
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, carry_out, is_trial, write_private
from moot.console.integrity import SURE, BadEdge, Leftover, copies, dangling, leftovers, waiting_for_parents
from moot.console.lines.checks import check_lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.issue_pages import issue_pages
from moot.console.notices.copied_spool import copied_spool_checks
from moot.console.notices.not_here import NOT_HERE, refusal
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Delete, ListIssues, RemoveEdge, ResolveIds, Stats
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.machine import Doctor, Ping, Protect

_MACHINE: Final = "machine"
CHECKS: Final = (_MACHINE, "validate", "pollution")
OK, WARNING, ERROR = "ok", "warning", "error"
_SHOWN: Final = 5
"""Findings that a check names at most."""
_CLEANED: Final = "left over by a test"


# -- What is looked at -------------------------------------------------------------------------------------------
def _all_issues(context: Context) -> list[IssueDoc]:
    wanted = Filter(projects=projects_of(context))
    return context.api.call(ListIssues(filter=wanted, all=True, limit=0, sort="id", texts=True)).issues


def _all_edges(context: Context) -> list[IssueDoc]:
    """All issues with nothing but their ids and dependencies."""
    pages = issue_pages(context, Filter(projects=projects_of(context)))
    kept = ("id", "dependencies")
    return [{name: issue[name] for name in kept if name in issue} for page in pages for issue in page]


def _is_known(context: Context, issue: str) -> bool:
    """Whether there is an issue of exactly this id, in whatever project."""
    try:
        return context.api.call(ResolveIds(ids=(issue,))) == [issue]
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return False


def _dangling(context: Context, issues: Sequence[IssueDoc]) -> list[BadEdge]:
    return dangling(issues, lambda issue: _is_known(context, issue))


def _unlink(context: Context, edges: Sequence[BadEdge]) -> int:
    """Remove edges: some hundred in one script, which is all or nothing."""
    for script in batched([_removal(context, edge)] for edge in edges):
        carry_out(context, script)
    return len(edges)


def _removal(context: Context, edge: BadEdge) -> tuple[str, RemoveEdge]:
    return edge.issue_id, RemoveEdge(actor=context.actor, id=edge.issue_id, to=edge.depends_on_id, type=edge.type)


def _dependencies(count: int) -> str:
    return f"{count:,} {'dependency' if count == 1 else 'dependencies'}"


# -- doctor ------------------------------------------------------------------------------------------------------
def _doctor_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--check", choices=CHECKS, default=_MACHINE, help="what to look at (default machine)")
    add(
        "--fix",
        action="store_true",
        help="take from others what only you may read; with --check validate: remove dependencies that lead nowhere",
    )
    add("--fix-child-parent", action="store_true", help="validate, and let no child wait for its own parent")
    add("--clean", action="store_true", help="with --check pollution: delete what surely is a test's")
    add("-y", "--yes", action="store_true", help="yes, do that")
    for flag in ("--agent", "--check-health", "--deep", "--orchestrator", "--perf", "--server"):
        add(flag, action="store_true", help="accepted for bd's sake: these are all the checks there are")
    add("-o", "--output", default="", metavar="FILE", help="write the report to a file too, as JSON")
    add("--migration", metavar="WHEN", help="accepted for bd's sake: there is never anything to migrate")


def _doctor(context: Context) -> int:
    given = context.arguments
    if given.fix_child_parent and given.check == _MACHINE:
        return _validate(context)
    return {_MACHINE: _machine, "validate": _validate, "pollution": _pollution}[given.check](context)


def _machine(context: Context) -> int:
    fixed: list[str] = []
    if context.arguments.fix:
        fixed = context.api.call(Protect())["closed"]
    checks = [*context.api.call(Doctor()), *copied_spool_checks(context)]
    told = [
        {
            "name": check["check"],
            "status": OK if check["ok"] else ERROR,
            "message": check["detail"] or ("right" if check["ok"] else "wrong"),
            **({"fix": check["hint"]} if check["hint"] else {}),
        }
        for check in checks
    ]
    is_well = all(check["ok"] for check in checks)
    report = _report(context, told, is_well=is_well) | ({"fixed": fixed} if context.arguments.fix else {})
    closed = [confirmed(context, f"Closed to others: {neutralise(path)}") for path in fixed]
    _answer(context, report, [*closed, *check_lines(context, checks)])
    return exits.OK if is_well else exits.FAILED


def _answer(context: Context, document: dict[str, Any], told: Iterable[str]) -> None:
    """Answer, once the report lies in the file that is wanted: a full disk is no success."""
    if context.arguments.output:
        write_private(context, context.arguments.output, [f"{documents.encoded(document)}\n".encode()])
    answer(context, document, told)


def _report(context: Context, checks: Sequence[dict[str, Any]], *, is_well: bool) -> dict[str, Any]:
    folder = context.terminal.facts.folder
    return {"path": folder, "checks": list(checks), "overall_ok": is_well, "cli_version": as_bd.VERSION}


def _validate(context: Context) -> int:
    """Look at the issues themselves. Findings are for people to judge: they are no failure of the command."""
    issues = _all_issues(context)
    edges, upwards = _dangling(context, issues), waiting_for_parents(issues)
    given = context.arguments
    if given.fix or given.fix_child_parent:
        _need_yes(context)
    if given.fix:
        _unlink(context, edges)
        upwards = [edge for edge in upwards if edge not in edges]
        edges = []
    if given.fix_child_parent:
        _unlink(context, upwards)
        upwards = []
    groups = copies(issues)
    tests = leftovers(issues)
    checks = [
        _finding("Duplicate Issues", several(len(groups), "group"), [", ".join(group) for group in groups]),
        _finding(
            "Orphaned Dependencies",
            f"{_dependencies(len(edges))} on issues that aren't here",
            list(map(_arrow, edges)),
        ),
        _finding(
            "Child-Parent Dependencies",
            f"{_dependencies(len(upwards))} of children on what they are part of",
            list(map(_arrow, upwards)),
        ),
        _finding("Test Pollution", several(len(tests), "issue"), [each.issue["id"] for each in tests]),
    ]
    is_well = all(check["status"] == OK for check in checks)
    shown = [
        {"check": check["name"], "ok": check["status"] == OK, "detail": _told(check), "hint": ""} for check in checks
    ]
    _answer(context, _report(context, checks, is_well=is_well), check_lines(context, shown))
    return exits.OK


def _arrow(edge: BadEdge) -> str:
    return f"{edge.issue_id} → {edge.depends_on_id}"


def _finding(name: str, message: str, found: Sequence[str]) -> dict[str, Any]:
    if not found:
        return {"name": name, "status": OK, "message": "none"}
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return {"name": name, "status": WARNING, "message": message, "detail": "; ".join(found[:_SHOWN]) + more}


def _told(check: dict[str, Any]) -> str:
    return ": ".join(str(check[name]) for name in ("message", "detail") if name in check)


def _need_yes(context: Context) -> None:
    if not (context.arguments.yes or is_trial(context)):
        raise RefusedError(
            "this changes issues, and nobody can be asked", code=Code.USAGE, hint="say --yes; without, it only looks"
        )


def _pollution(context: Context) -> int:
    found = leftovers(_all_issues(context))
    sure = [each for each in found if each.score >= SURE]
    document: dict[str, Any] = {"polluted_count": len(found)}
    if found:
        document |= {"high_confidence": len(sure), "medium_confidence": len(found) - len(sure)}
    document["issues"] = list(map(_leftover, found))
    told = [_leftover_line(each) for each in found] or [confirmed(context, "Nothing looks like a test's")]
    if context.arguments.clean:
        _need_yes(context)
        document["deleted_count"] = _delete(context, sure)
        told.append(confirmed(context, f"Deleted {several(len(sure), 'issue')}; `moot undelete ID` brings one back"))
    _answer(context, document, told)
    return exits.OK


def _delete(context: Context, found: Sequence[Leftover]) -> int:
    ids = [each.issue["id"] for each in found]
    for script in batched([(issue, Delete(actor=context.actor, id=issue, reason=_CLEANED))] for issue in ids):
        carry_out(context, script)
    return len(ids)


def _leftover(each: Leftover) -> dict[str, Any]:
    return {
        "id": each.issue["id"],
        "title": each.issue["title"],
        "score": each.score,
        "reasons": list(each.reasons),
        "created_at": each.issue["created_at"],
        "cleanable": each.score >= SURE,
    }


def _leftover_line(each: Leftover) -> str:
    title = neutralise(str(each.issue["title"]))
    return f"{neutralise(each.issue['id'])} {title}: {', '.join(each.reasons)} ({each.score:.2f})"


# -- repair-deps -------------------------------------------------------------------------------------------------
def _repair_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="remove them")


def _repair(context: Context) -> int:
    edges = _dangling(context, _all_edges(context))
    document: dict[str, Any] = {
        "orphans_found": len(edges),
        "orphans": [
            {"issue_id": edge.issue_id, "depends_on_id": edge.depends_on_id, "dependency_type": edge.type}
            for edge in edges
        ],
    }
    told = [
        f"{neutralise(edge.issue_id)} → {neutralise(edge.depends_on_id)} ({neutralise(edge.type)})" for edge in edges
    ]
    if context.arguments.fix:
        document["fixed"] = _unlink(context, edges)
        told.append(confirmed(context, f"Removed {_dependencies(len(edges))}"))
    answer(context, document, told or [confirmed(context, "Every dependency leads to an issue")])
    return exits.OK


# -- What bd does to its database --------------------------------------------------------------------------------
def _migrate_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("word", metavar="WORD", nargs="?", default="", help="what else `bd` migrates: told apart, and done nothing for")
    add("--inspect", action="store_true", help="what there is to migrate: nothing, ever")
    for flag in ("--dry-run", "--yes", "--force", "--update-repo-id"):
        add(flag, action="store_true", help="accepted for bd's sake: there is nothing to migrate")


def _migrate(context: Context) -> int:
    """A log's format is read for good and views are rebuilt by themselves, so there is never anything to migrate."""
    word = context.arguments.word
    if word:
        known = refusal(("migrate", word)) if f"migrate {word}" in NOT_HERE else None
        raise known or RefusedError(f"nothing is called {word} that could be migrated", code=Code.USAGE)
    pong = context.api.call(Ping())
    count = context.api.call(Stats(projects=projects_of(context)))["total"]
    state = {"db_exists": True, "schema_version": pong["protocol"], "issue_count": count, "missing_config": []}
    inspected = {
        "registered_migrations": [],
        "current_state": state,
        "warnings": [],
        "invariants_to_check": ["every view can be rebuilt from the log: `moot rebuild`"],
    }
    document = inspected if context.arguments.inspect else {"status": "current", "current_version": pong["version"]}
    answer(context, document, ["There is nothing to migrate: views are rebuilt from the log by themselves"])
    return exits.OK


def _ping(context: Context) -> int:
    begun = context.monotonic()
    context.api.call(Ping())
    reached = context.monotonic()
    context.api.call(ListIssues(limit=1))
    ended = context.monotonic()
    spent = {"query_ms": round((ended - reached) * 1000), "total_ms": round((ended - begun) * 1000)}
    document = {"status": "ok", "resolve_ms": 0, "store_ms": round((reached - begun) * 1000), **spent}
    program = context.terminal.facts.program
    answer(context, document, [confirmed(context, f"{program} ping: ok ({spent['total_ms']}ms)")])
    return exits.OK


COMMANDS: Final = (
    Command(
        "doctor",
        "Check this machine, or the issues themselves",
        _doctor_arguments,
        _doctor,
        examples=("moot doctor", "moot doctor --check validate", "moot doctor --check pollution --clean --yes"),
    ),
    Command(
        "repair-deps",
        "Find dependencies on issues that aren't here",
        _repair_arguments,
        _repair,
        examples=("moot repair-deps  # only looks", "moot repair-deps --fix"),
    ),
    Command(
        "migrate",
        "Accepted for bd's sake: there is never anything to migrate",
        _migrate_arguments,
        _migrate,
        aliases=("migrate schema",),
        examples=("moot migrate --inspect  # says that nothing is to be migrated",),
    ),
    Command(
        "ping",
        "Whether the daemon answers, and how fast",
        no_arguments,
        _ping,
        alone=True,
        examples=("moot ping", "moot ping --json"),
    ),
)
"""The commands of this module."""
