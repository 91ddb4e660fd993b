"""When things have gone wrong: recover (with the words from paper), salvage (what a forked machine has written)."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console import issue_lines as lines
from moot.console.amounts import several
from moot.console.command import Command, Context
from moot.console.confirm import confirmed
from moot.console.context import answer, note, read_text
from moot.console.exchange_lines import KEY_SHOWN
from moot.console.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import KIB
from moot_protocol.membership_requests import Recover, Salvage

WORDS_BYTES: Final = 4 * KIB
"""Bytes read of standard input for the words: far above 24 of them."""


# -- recover -----------------------------------------------------------------------------------------------------
def _recover_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--plane",
        default="ledger",
        metavar="PLANE",
        help="the plane to recover (default ledger); others that have the same words are recovered with it",
    )


def _recover(context: Context) -> int:
    note(context, "Type the 24 recovery words, then the end of input (Ctrl-D)")
    words = read_text(context, "-", WORDS_BYTES).strip()
    if not words:
        raise RefusedError("there are no words", code=Code.USAGE, hint="type them, or give a file: moot recover < FILE")
    done = context.api.call(Recover(actor=context.actor, plane=context.arguments.plane, words=words))
    answer(context, done, _recovered(context, done))
    note(context, "Whoever has the removed key keeps what it could read; what it writes from now on counts nowhere")
    return exits.OK


def _recovered(context: Context, done: dict[str, Any]) -> Iterator[str]:
    *others, last = (neutralise(str(plane)) for plane in done["planes"])
    town = lines.text_of(done, "town")
    told = f"Planes {', '.join(others)} and {last} belong" if others else f"Plane {last} belongs"
    yield confirmed(context, f"{told} to town {town} now")
    for removed in done["removed"]:
        yield f"  Removed {neutralise(str(removed))}"
    if done["epoch"]:
        where = f" of {lines.text_of(done, 'plane')}" if others else ""
        yield f"  New epoch {lines.text_of(done, 'epoch')}{where}"


# -- salvage -----------------------------------------------------------------------------------------------------
def _salvage_arguments(parser: ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--moved", action="store_true", help="this data directory was moved, and nothing runs from the old place"
    )
    which.add_argument(
        "--copied",
        action="store_true",
        help="this data directory is a copy, and the original is in use: take a new key",
    )


def _salvage(context: Context) -> int:
    given = context.arguments
    done = context.api.call(Salvage(actor=context.actor, moved=given.moved, copied=given.copied))
    answer(context, done, _salvaged(context, done))
    program = context.terminal.facts.program
    if done["before"] != done["replica"] and not given.copied:
        before = lines.text_of(done, "before")[:KEY_SHOWN]
        note(
            context, f"If the old key is forked, `{program} replica retire {before}` on one machine of the town ends it"
        )
    if any(plane["state"] == "invite" for plane in done["planes"]):
        note(context, f"Some planes have to be joined again: `{program} invite` where the town's key is, join here,")
        note(context, f"then `{program} salvage` once more, which writes again what is lost there")
    return exits.OK


def _salvaged(context: Context, done: dict[str, Any]) -> Iterator[str]:
    now, before = lines.text_of(done, "replica"), lines.text_of(done, "before")[:KEY_SHOWN]
    if now.startswith(before):
        yield confirmed(context, f"This machine is replica {now}, as before")
    else:
        yield confirmed(context, f"This machine is replica {now} now, was {before}")
    for plane in done["planes"]:
        skipped = f", {several(plane['skipped'], 'event')} could not be" if plane["skipped"] else ""
        waits = "; waits for an invite" if plane["state"] == "invite" else ""
        written = several(plane["salvaged"], "event")
        yield f"  {lines.text_of(plane, 'plane')}: {written} written again{skipped}{waits}"


COMMANDS: Final = (
    Command(
        "recover",
        "Replace a stolen or lost founder of a plane, with the recovery words from paper",
        _recover_arguments,
        _recover,
        examples=("moot recover --plane ledger < words",),
        alone=True,
    ),
    Command(
        "salvage",
        "Give this machine a new key, and write again what doesn't count of what was written here",
        _salvage_arguments,
        _salvage,
        alone=True,
        examples=("moot salvage --dry-run", "moot salvage --copied  # the original of this data is in use"),
    ),
)
