"""The machines of planes: replica list|retire."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, key_argument, plane_argument
from moot.console.context import answer, answer_list, note
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN
from moot.console.lines.membership import no_epoch_told, replica_rows
from moot.console.text.safe_text import neutralise
from moot_protocol.requests.membership import Replicas, RetireReplica

NO_WAY_BACK: Final = "No command takes this back: the machine can join again (`moot invite`), under a new key"


def _list(context: Context) -> int:
    replicas = context.api.call(Replicas(plane=context.arguments.plane))
    answer_list(
        context,
        replicas,
        lambda style: replica_rows(style, replicas, context.now_ms),
        "no replicas; `moot init` makes the first",
    )
    return exits.OK


def _retire_arguments(parser: ArgumentParser) -> None:
    key_argument(parser, "replica", metavar="REPLICA", told="the beginning of its key")
    parser.add_argument("--plane", default="", metavar="PLANE", help="on this plane alone; else on all of its town's")
    parser.add_argument("--drop", action="store_true", help="although events go with it that are nowhere else")


def _retire(context: Context) -> int:
    given = context.arguments
    done = context.api.call(
        RetireReplica(actor=context.actor, replica=given.replica, plane=given.plane, drop=given.drop)
    )
    answer(context, done, _retired(context, done))
    if any(plane.get("same_ticket") for plane in done["planes"]):
        note(context, f"`{context.terminal.facts.program} replica retire -- KEY` each of those that you don't know:")
        note(context, "whoever has a ticket can let in others with it, and they count")
    for told in no_epoch_told(done["planes"]):
        note(context, told)
    note(context, "The machine keeps what it has, and what it wrote until now stays; nothing from now on counts")
    note(context, NO_WAY_BACK)
    return exits.OK


def _retired(context: Context, done: dict[str, Any]) -> Iterator[str]:
    for plane in done["planes"]:
        name, where = lines.text_of(done, "replica")[:KEY_SHOWN], lines.text_of(plane, "plane")
        epoch = f"; new epoch {lines.text_of(plane, 'epoch')}" if plane["epoch"] else ""
        yield confirmed(context, f"Retired {name} on plane {where} at its event {plane['n']:,}{epoch}")
        if others := plane.get("same_ticket"):
            yield f"  came with the same ticket: {', '.join(neutralise(str(each))[:KEY_SHOWN] for each in others)}"


COMMANDS: Final = (
    Command(
        "replica list",
        "Machines of each plane: town, role, how far they count, when they were last heard of",
        plane_argument,
        _list,
        alone=True,
        examples=("moot replica list", "moot replica list --plane ledger"),
    ),
    Command(
        "replica retire",
        "End a machine of this town: it is sold, lost or stolen",
        _retire_arguments,
        _retire,
        examples=("moot replica retire AakSBlMT",),
        alone=True,
    ),
)
