"""claim, unclaim, heartbeat: taking an issue, for good or for a while, and giving it back.

`claim --confirm` asks the other machines that are live: a claim is first-come between machines, and until they have
answered somebody may have been first.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, is_unchanged, naming, nothing_to_do
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.durations import HELP, duration_ms
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimPeers, Heartbeat, Unclaim
from moot_protocol.requests.issues import Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.machine import Events

CONFIRMED: Final = "confirmed"
LOST: Final = "lost"
ALONE: Final = "nobody else heard of"
UNANSWERED: Final = "not answered in time"
LOOK_MS: Final = 250
"""How long one look for answers waits at most."""
_MOST_SECONDS: Final = 300


def add_ttl(parser: ArgumentParser) -> None:
    """Add `--ttl`."""
    parser.add_argument(
        "--ttl", type=duration_ms, default=0, metavar="DURATION", help=f"hold it so long unless renewed: {HELP}"
    )


def seconds(text: str) -> float:
    """A number of seconds to wait.

    Raises:
        ArgumentTypeError: it is none, or out of bounds.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _MOST_SECONDS:
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0 and up to {_MOST_SECONDS}")
    return number


# -- claim -------------------------------------------------------------------------------------------------------
def _claim_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues to take: all of them or none")
    add_ttl(parser)
    parser.add_argument(
        "--confirm",
        type=seconds,
        metavar="SECONDS",
        help=f"wait so long for other machines, {_MOST_SECONDS} at most",
    )
    add_dry_run(parser)


def claim_mutations(context: Context) -> list[tuple[str, Mutation[Any]]]:
    """What `claim` wants of the daemon: one change for each issue, and the issue as it was typed."""
    given = context.arguments
    return [
        (issue, Update(actor=context.actor, dry_run=given.dry_run, id=issue, claim=True, ttl_ms=given.ttl))
        for issue in dict.fromkeys(given.ids)
    ]


def _claim(context: Context) -> int:
    given = context.arguments
    if given.confirm and given.dry_run:
        raise RefusedError("--confirm and --dry-run contradict one another", code=Code.USAGE, hint="give one")
    claimed: list[IssueDoc] = carry_out(context, claim_mutations(context))
    found = [_confirmation(context, issue) for issue in claimed] if given.confirm else []
    told = [documents.changed(issue) for issue in claimed]
    if found:
        told = [issue | {"_confirmed": each} for issue, each in zip(told, found, strict=True)]
    answer(context, told, _claimed_lines(context, claimed, found))
    return exits.OK if all(each["result"] != LOST for each in found) else exits.CONFLICT


def _claimed_lines(context: Context, claimed: Sequence[IssueDoc], found: Sequence[dict[str, Any]]) -> Iterator[str]:
    done = "Would claim" if context.arguments.dry_run else "Claimed"
    for position, issue in enumerate(claimed):
        confirmation = found[position] if found else None
        if confirmation and confirmation["result"] == LOST:
            yield f"Lost: {neutralise(str(confirmation['holder'] or 'nobody'))} has {naming(issue)}"
            continue
        if is_unchanged(issue):
            yield nothing_to_do(f"{naming(issue)} is yours already")
        else:
            yield confirmed(context, f"{done} {naming(issue)}{_until(issue)}")
        if confirmation:
            yield f"  {_confirmed_words(confirmation)}"


def _until(issue: IssueDoc) -> str:
    claim = issue.get("_claim")
    return f", until {lines.text_of(claim, 'expires_at')} unless renewed" if claim else ""


def _confirmed_words(confirmation: dict[str, Any]) -> str:
    agreed, silent = confirmation["agreed"], confirmation["silent"]
    match confirmation["result"]:
        case "confirmed":
            return f"Confirmed by {several(agreed, 'other machine')}"
        case "nobody else heard of":
            return "Nobody else was heard of within the last three minutes"
        case _:
            return f"Not confirmed: {several(silent, 'machine')} didn't answer in time and may have been first"


def _confirmation(context: Context, issue: IssueDoc) -> dict[str, Any]:
    """What the other machines say to a claim: `{"result", "holder", "agreed", "silent"}`."""
    deadline = context.monotonic() + context.arguments.confirm
    since: int = context.api.call(Events(since=None))["next"]
    while True:
        known = context.api.call(ClaimPeers(id=issue["id"]))
        agreed = sum(1 for peer in known["peers"] if peer["agrees"])
        counted = {"holder": known["holder"], "agreed": agreed, "silent": len(known["peers"]) - agreed}
        if known["holder"] != context.actor:
            return {"result": LOST, **counted}
        left = deadline - context.monotonic()
        if known["peers"] and not counted["silent"]:
            return {"result": CONFIRMED, **counted}
        if left <= 0:
            return {"result": UNANSWERED if known["peers"] else ALONE, **counted}
        context.terminal.check_alive()
        news = context.api.call(Events(since=since, wait_ms=max(min(LOOK_MS, int(left * 1000)), 1)))
        since = news["next"]


# -- unclaim -----------------------------------------------------------------------------------------------------
def _unclaim_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues to give back: all of them or none")
    parser.add_argument("--if-holder", default="", metavar="NAME", help="only while this one holds them")
    add_dry_run(parser)


def _unclaim(context: Context) -> int:
    given = context.arguments
    changes: list[tuple[str, Mutation[Any]]] = [
        (issue, Unclaim(actor=context.actor, dry_run=given.dry_run, id=issue, if_holder=given.if_holder))
        for issue in dict.fromkeys(given.ids)
    ]
    freed: list[IssueDoc] = carry_out(context, changes)
    done = "Would give back" if given.dry_run else "Gave back"
    told = (
        nothing_to_do(f"nobody holds {naming(issue)}")
        if is_unchanged(issue)
        else confirmed(context, f"{done} {naming(issue)}")
        for issue in freed
    )
    answer(context, list(map(documents.changed, freed)), told)
    return exits.OK


# -- heartbeat ---------------------------------------------------------------------------------------------------
def _heartbeat_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="the claims to renew; else all of yours made here")
    add_ttl(parser)


def _heartbeat(context: Context) -> int:
    given = context.arguments
    asked = [Heartbeat(actor=context.actor, id=issue, ttl_ms=given.ttl) for issue in dict.fromkeys(given.ids)]
    asked = asked or [Heartbeat(actor=context.actor, ttl_ms=given.ttl)]
    renewed = [each for request in asked for each in context.api.call(request)]
    answer(context, renewed, _renewed_lines(context, renewed))
    return exits.OK


def _renewed_lines(context: Context, renewed: Sequence[dict[str, Any]]) -> Iterator[str]:
    for each in renewed:
        issue, until = lines.text_of(each, "id"), f"until {lines.text_of(each, 'expires_at')}"
        moment = when.instant(each["expires_at"])
        left = "" if moment is None else f" ({when.lasted(max(moment - context.now_ms, 0))})"
        if each["renewed"]:
            yield confirmed(context, f"Renewed {issue}, {until}{left}")
        else:
            yield nothing_to_do(f"{issue} is yours {until}{left}, too long to be renewed yet")
    if not renewed:
        yield nothing_to_do("no claim of yours was made here that ends by itself")


CLAIM: Final = Command(
    "claim",
    "Take issues: yours and in progress, unless somebody else holds them",
    _claim_arguments,
    _claim,
    examples=("moot claim bd-a1b2", "moot claim bd-a1b2 --ttl 30m", "moot claim bd-a1b2 --confirm 5 --json"),
)
COMMANDS: Final = (
    CLAIM,
    Command(
        "unclaim",
        "Give issues back: nobody's and open",
        _unclaim_arguments,
        _unclaim,
        examples=("moot unclaim bd-a1b2", "moot unclaim bd-a1b2 --if-holder alice/claude-3"),
    ),
    Command(
        "heartbeat",
        "Renew claims that end by themselves",
        _heartbeat_arguments,
        _heartbeat,
        examples=("moot heartbeat", "moot heartbeat bd-a1b2 --ttl 1h"),
    ),
)
"""The commands of this module."""
