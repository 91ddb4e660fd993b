"""Work that one machine does at a time: lease list|acquire|release, town promote, town rebalance."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import UNCHANGED, confirmed, nothing_to_do
from moot.console.lines.exchange import KEY_SHOWN, table
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.style import Style, style_of
from moot_protocol.limits import LEASE_MS
from moot_protocol.requests.leases import AcquireLease, Leases, PromoteTown, Rebalance, ReleaseLease
from moot_protocol.time_units import MINUTE_MS

_HELD: Final = frozenset({"held", "ending"})
"""States of a lease that has a holder."""


# -- lease -------------------------------------------------------------------------------------------------------
def _list(context: Context) -> int:
    leases = context.api.call(Leases())
    answer_list(context, leases, lambda style: _rows(style, leases), "no leases")
    for lease in leases:
        if lease["fenced"]:
            name = lines.text_of(lease, "name")
            note(context, f"This machine held {name} under epoch {lease['fenced']} and has lost it: stop what it did")
    return exits.OK


def _rows(style: Style, leases: list[dict[str, Any]]) -> list[str]:
    return table(style, [_cells(lease) for lease in leases])


def _cells(lease: dict[str, Any]) -> list[str]:
    holder = "this machine" if lease["is_here"] else lines.text_of(lease, "holder")[:KEY_SHOWN]
    until = f"until {when.short_date(lease['until_ms'])}" if lease["until_ms"] else ""
    return [
        lines.text_of(lease, "name"),
        lines.text_of(lease, "state"),
        f"epoch {lease['epoch']}",
        holder or "-",
        lines.text_of(lease, "actor"),
        until,
    ]


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ArgumentTypeError(f"{text!r} is no number of minutes")
    return int(text) * MINUTE_MS


def _acquire_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what is to be done by one machine at a time")
    minutes = LEASE_MS // MINUTE_MS
    parser.add_argument(
        "--minutes", type=_minutes, default=LEASE_MS, metavar="N", help=f"how long it holds (else {minutes})"
    )


def _acquire(context: Context) -> int:
    given = context.arguments
    lease = context.api.call(AcquireLease(actor=context.actor, name=given.name, ttl_ms=given.minutes))
    end = when.short_date(lease["until_ms"])
    told = f"This machine holds {lines.text_of(lease, 'name')} under epoch {lease['epoch']} until {end} UTC"
    answer(context, lease, [confirmed(context, told)])
    return exits.OK


def _release_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is for")
    parser.add_argument("epoch", type=int, metavar="EPOCH", help="under which this machine took it; see `lease list`")


def _release(context: Context) -> int:
    given = context.arguments
    lease = context.api.call(ReleaseLease(actor=context.actor, name=given.name, epoch=given.epoch))
    name = lines.text_of(lease, "name")
    if lease["is_here"] and lease["epoch"] == given.epoch:
        answer(context, lease, [confirmed(context, f"This machine no longer holds {name}")])
        return exits.OK
    is_held = lease["is_here"] and lease["state"] in _HELD
    told = f"holds {name} under epoch {lease['epoch']}, not {given.epoch}" if is_held else f"doesn't hold {name}"
    answer(context, lease | {UNCHANGED: True}, [nothing_to_do(f"this machine {told}")])
    return exits.OK


# -- town promote ------------------------------------------------------------------------------------------------
def _promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="also what other machines hold: when they are gone")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be taken")


def _promote(context: Context) -> int:
    given = context.arguments
    done = context.api.call(PromoteTown(actor=context.actor, force=given.force, dry_run=given.dry_run))
    answer(context, done, _promoted(context, done))
    if done["held"]:
        note(context, "--force takes those that others hold; a machine that comes back is told, and stops")
    return exits.OK if not done["held"] else exits.CONFLICT


def _promoted(context: Context, done: dict[str, Any]) -> Iterator[str]:
    verb = "Would take" if context.arguments.dry_run else "Took"
    told = (
        f"{verb} {several(len(done['moved']), 'lease')}, kept {len(done['kept'])}, left {len(done['held'])} to others"
    )
    yield told if context.arguments.dry_run else confirmed(context, told)
    for row in _rows(style_of(context.terminal.facts), [*done["moved"], *done["kept"], *done["held"]]):
        yield f"  {row}"


# -- town rebalance ----------------------------------------------------------------------------------------------
def _rebalance_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        required=True,
        dest="source",
        metavar="REPLICA|TOWN",
        help="the machine that is gone, or the town: its key or the beginning of that, or a town's name",
    )
    parser.add_argument("--to", default="", metavar="ACTOR", help="who gets the issues; else nobody holds them")
    parser.add_argument("--dry-run", action="store_true", help="only say which they are")


def _rebalance(context: Context) -> int:
    given = context.arguments
    request = Rebalance(actor=context.actor, source=given.source, to=given.to, dry_run=given.dry_run)
    done = context.api.call(request)
    answer(context, done, _rebalanced(context, done))
    return exits.OK


def _rebalanced(context: Context, done: dict[str, Any]) -> Iterator[str]:
    verb = "Would take" if context.arguments.dry_run else "Took"
    machines = several(len(done["replicas"]), "machine")
    told = f"{verb} {several(len(done['issues']), 'issue')} from whoever claimed them on {machines}"
    yield told if context.arguments.dry_run else confirmed(context, told)
    for issue in done["issues"]:
        now = lines.text_of(issue, "now") or "nobody"
        yield f"  {lines.text_of(issue, 'id')} {lines.text_of(issue, 'was')} → {now}: {lines.text_of(issue, 'title')}"


COMMANDS: Final = (
    Command(
        "lease list",
        "The leases of the town: who holds each, until when",
        no_arguments,
        _list,
        alone=True,
        examples=("moot lease list", "moot lease list --json"),
    ),
    Command(
        "lease acquire",
        "Take a lease for this machine, or prolong it",
        _acquire_arguments,
        _acquire,
        examples=("moot lease acquire nightly-build --minutes 60",),
        alone=True,
    ),
    Command(
        "lease release",
        "Give a lease back",
        _release_arguments,
        _release,
        examples=("moot lease release nightly-build 3",),
        alone=True,
    ),
    Command(
        "town promote",
        "Take the town's leases for this machine",
        _promote_arguments,
        _promote,
        examples=("moot town promote --force --dry-run",),
        alone=True,
    ),
    Command(
        "town rebalance",
        "Take the claims of a machine or town that is gone",
        _rebalance_arguments,
        _rebalance,
        examples=("moot town rebalance --from AakSBlMT --dry-run",),
        alone=True,
    ),
)
