"""Who may read and write on a plane: plane members, plane rotate-key, member remove."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, key_argument
from moot.console.commands.exchange.recovery import dropped_words
from moot.console.context import answer, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.membership import named, no_epoch_told, replica_rows, town_rows
from moot.console.text.amounts import several
from moot.console.text.style import Style, style_of
from moot_protocol.requests.membership import Members, RemoveTown, RotatePlaneKey

STILL_READS: Final = (
    "It keeps what it has: all that it received, and whatever lies on remotes that was sealed before now",
    "It still reads who is in (charters), and nothing else that is written from now on",
)
"""What a removed town can still read."""
NO_WAY_BACK: Final = "No command takes this back: the town can be invited again (`moot invite --town`), under a new key"


def _plane_argument(parser: ArgumentParser) -> None:
    parser.add_argument("plane", metavar="PLANE", help="the plane, or the beginning of its id")


# -- plane members -----------------------------------------------------------------------------------------------
def _members(context: Context) -> int:
    plane = context.api.call(Members(plane=context.arguments.plane))
    answer(context, plane, _shown(style_of(context.terminal.facts), plane, context.now_ms))
    return exits.OK


def _shown(style: Style, plane: dict[str, Any], now_ms: int) -> Iterator[str]:
    inner = style._replace(width=style.width - 2)
    for head, town in zip(town_rows(style, plane["towns"], with_plane=False), plane["towns"], strict=True):
        yield head
        for row in replica_rows(inner, town["members"], now_ms, with_plane=False):
            yield f"  {row}"


# -- plane rotate-key --------------------------------------------------------------------------------------------
def _rotate(context: Context) -> int:
    made = context.api.call(RotatePlaneKey(actor=context.actor, plane=context.arguments.plane))
    told = f"Plane {lines.text_of(made, 'plane')} has a new key: epoch {lines.text_of(made, 'epoch')}"
    answer(context, made, [confirmed(context, f"{told}, wrapped for {several(made['recipients'], 'recipient')}")])
    return exits.OK


# -- member remove -----------------------------------------------------------------------------------------------
def _remove_arguments(parser: ArgumentParser) -> None:
    key_argument(parser, "town", metavar="TOWN", told="its name, its key or the beginning of that")
    parser.add_argument("--plane", default="", metavar="PLANE", help="from this plane alone; else from all it is on")
    parser.add_argument("--drop", action="store_true", help="although events go with it that are nowhere else")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be ended")


def _remove(context: Context) -> int:
    given = context.arguments
    done = context.api.call(
        RemoveTown(actor=context.actor, town=given.town, plane=given.plane, drop=given.drop, dry_run=given.dry_run)
    )
    answer(context, done, _removed(context, done))
    if not given.dry_run:
        for line in (*no_epoch_told(done["planes"]), *STILL_READS, NO_WAY_BACK):
            note(context, line)
    return exits.OK


def _removed(context: Context, done: dict[str, Any]) -> Iterator[str]:
    is_dry = context.arguments.dry_run
    for plane in done["planes"]:
        town, where = named(done), lines.text_of(plane, "plane")
        replicas, events = several(len(plane["replicas"]), "replica"), several(plane["events"], "event")
        if is_dry:
            yield f"Would remove town {town} from plane {where} and end {replicas} of it:"
            yield f"  What it has written until now stays ({events}); nothing that it writes from then on counts"
            yield "  The plane would have a new key, which it doesn't get"
        else:
            yield confirmed(context, f"Removed town {town} from plane {where}: {replicas} ended, {events} of them stay")
            if plane["epoch"]:
                yield f"  The plane has a new key: epoch {lines.text_of(plane, 'epoch')}"
    for dropped in done["dropped"]:
        yield f"  {'Would drop' if is_dry else 'Dropped'} what is nowhere else, {dropped_words(dropped)}"
    if is_dry:
        yield from (f"  {line}" for line in (*STILL_READS, NO_WAY_BACK))


COMMANDS: Final = (
    Command(
        "plane members",
        "The towns of a plane and their replicas: role, state, last seen",
        _plane_argument,
        _members,
        alone=True,
        examples=("moot plane members ledger",),
    ),
    Command(
        "plane rotate-key",
        "Begin a new epoch: from then on all is sealed under a new key",
        _plane_argument,
        _rotate,
        examples=("moot plane rotate-key ledger",),
        alone=True,
    ),
    Command(
        "member remove",
        "Remove a town from a plane: nothing that it writes from then on counts, and the key changes",
        _remove_arguments,
        _remove,
        examples=("moot member remove rivertown --plane shared",),
        alone=True,
    ),
)
