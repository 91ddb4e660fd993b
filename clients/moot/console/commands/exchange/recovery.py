"""When things have gone wrong: recover (with the words from paper), salvage (what a forked machine has written)."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.commands.exchange.forks import BRANCH_SHOWN
from moot.console.context import answer, note, read_text
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN
from moot.console.lines.membership import no_epoch_told
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_word
from moot_protocol.limits import KIB
from moot_protocol.requests.membership import Recover, Salvage

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
    parser.add_argument(
        "--branch",
        action="append",
        default=[],
        metavar="NAME",
        help="the history that is to count of a forked machine of the removed (`fork list`); repeatable",
    )
    parser.add_argument("--drop", action="store_true", help="although events of machines go that are nowhere else")


def _recover(context: Context) -> int:
    if context.terminal.facts.in_is_terminal:
        note(context, "Type the 24 recovery words, then the end of input (Ctrl-D)")
    words = read_text(context, "-", WORDS_BYTES).strip()
    if not words:
        raise RefusedError("there are no words", code=Code.USAGE, hint="type them, or give a file: moot recover < FILE")
    given = context.arguments
    done = context.api.call(
        Recover(actor=context.actor, plane=given.plane, words=words, branches=tuple(given.branch), drop=given.drop)
    )
    answer(context, done, _recovered(context, done))
    note(context, "Whoever has the removed key keeps what it could read; what it writes from now on counts nowhere")
    if done.get("no_epoch"):
        for told in no_epoch_told([done]):
            note(context, told)
    _say_what_to_adopt(context, done["lost_memories"], done["lost_documents"])
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
    for dropped in done["dropped"]:
        yield f"  Dropped {dropped_words(dropped)}"


def dropped_words(dropped: dict[str, Any]) -> str:
    """What counts no more of one machine, and is nowhere else."""
    parts = [
        f"{several(each['events'], 'event')} of history {lines.text_of(each, 'branch')[:BRANCH_SHOWN]}"
        for each in dropped["branches"]
    ]
    if dropped["waiting"]:
        waiting = several(dropped["waiting"], "batch", "es")
        parts.append(f"{waiting} that waited for the clock")
    what = " and ".join(parts) or "a history that never came here"
    return f"of {lines.text_of(dropped, 'replica')[:KEY_SHOWN]} on plane {lines.text_of(dropped, 'plane')}: {what}"


def _say_what_to_adopt(context: Context, memories: int, documents: int) -> None:
    """What was this town's word and isn't any more: whoever has the removed key may have written it."""
    program = context.terminal.facts.program
    if memories:
        count = "1 memory counts" if memories == 1 else f"{memories} memories count"
        note(context, f"{count} as another town's now, since whoever has the removed key may have written it:")
        note(context, f"look them through (`{program} memories`); `{program} remember` makes a text this town's again")
    if documents:
        count = "1 document is" if documents == 1 else f"{documents} documents are"
        note(context, f"{count} no longer in force, for the same reason: look them through (`{program} doc list`);")
        note(context, f"`{program} doc adopt` puts them in force again")


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
    which.add_argument(
        "--clock",
        action="store_true",
        help="this machine's clock was ahead and is right now: take a new key, to write without waiting",
    )
    parser.add_argument(
        "--both",
        action="store_true",
        help="also the other history of this machine's old key: an old copy of its data was put back",
    )


def _salvage(context: Context) -> int:
    given = context.arguments
    done = context.api.call(
        Salvage(actor=context.actor, moved=given.moved, copied=given.copied, both=given.both, clock=given.clock)
    )
    answer(context, done, _salvaged(context, done))
    program = context.terminal.facts.program
    if given.clock:
        note(context, "What was written while the clock was ahead counts on other machines once their clocks are there")
    elif done["forked"] and done["before"] != done["replica"] and not given.copied:
        _say_how_it_ends(context, lines.text_of(done, "before")[:KEY_SHOWN])
    elif done["copied"] and done["before"] != done["replica"] and not done.get("disowned"):
        before = lines.text_of(done, "before")[:KEY_SHOWN]
        note(context, "The original of this data goes on under the old key. Only if it is gone for good:")
        note(context, f"`{program} replica retire {key_word(before)}` on a machine with the town's key")
    if done.get("disowned"):
        note(context, "The town's key stays with the original, which alone invites, retires and takes new keys")
        note(context, f"Only if the original is gone for good: `{program} recover` makes a new town key here,")
        note(context, "from the recovery words, and removes the original with the old one")
    states = {plane["state"] for plane in done["planes"]}
    if "rotate" in states:
        note(context, f"This town needs a new key before planes can let it in again: `{program} town rotate-key`,")
        note(context, f"then a ticket for a town (`{program} invite --town` on an admin's machine), join here,")
        note(context, f"then `{program} salvage` once more, which writes again what is lost there")
    if "invite" in states:
        then = "" if given.clock else f", then `{program} salvage` once more, which writes again what is lost there"
        note(context, "Some planes have to be joined again:")
        note(context, f"`{program} invite` where the town's key is, `{program} join -` here{then}")
    return exits.OK


def _say_how_it_ends(context: Context, before: str) -> None:
    """What ends the old key, on a machine with the town's key."""
    program, word = context.terminal.facts.program, key_word(before)
    note(context, f"While `{program} fork list` shows the old key, not settled, a machine with the town's key ends it.")
    note(context, "Where this machine alone wrote under it, since an old copy of its data was put back:")
    note(context, f"`{program} fork settle --branch NAME {word}`, for the history that others had, and this one not.")
    note(context, f"Where two machines did: `{program} replica retire {word}`, once both have salvaged")


_WAITS: Final = {"invite": "; waits for an invite", "rotate": "; this machine's town doesn't count there"}


def _salvaged(context: Context, done: dict[str, Any]) -> Iterator[str]:
    now, before = lines.text_of(done, "replica"), lines.text_of(done, "before")[:KEY_SHOWN]
    if now.startswith(before):
        yield confirmed(context, f"This machine is replica {now}, as before")
    else:
        yield confirmed(context, f"This machine is replica {now} now, was {before}")
    for plane in done["planes"]:
        skipped = f", {several(plane['skipped'], 'event')} could not be" if plane["skipped"] else ""
        waits = _WAITS.get(plane["state"], "")
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
