"""Spools, through which clients work in sandboxes that forbid sockets: what `init --spool` does, and spool status."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.context import answer, say
from moot.console.lines.confirm import confirmed
from moot.console.notices.copied_spool import note_copied_spool
from moot.console.text import when
from moot.console.text.amounts import several, size
from moot.console.text.safe_text import neutralise
from moot_protocol.limits import SPOOL_FILES
from moot_protocol.requests.machine import Status
from moot_protocol.requests.spools import CloseSpool, OpenSpool

_SECOND_MS: Final = 1000
_BRIEF_MS: Final = 120 * _SECOND_MS


# -- init --spool ------------------------------------------------------------------------------------------------
def add_argument(parser: ArgumentParser) -> None:
    """Add `--spool` and `--no-spool`."""
    parser.add_argument(
        "--spool",
        action=BooleanOptionalAction,
        help="let commands from sandboxes come through files in .moot/spool, or no longer",
    )


def in_document(context: Context, workspace: str) -> dict[str, Any]:
    """Open or close the workspace's spool, if that is asked for, and what a document says of it."""
    if context.arguments.spool is None:
        return {}
    if context.arguments.spool:
        folder = context.terminal.facts.folder
        return {"spool": context.api.call(OpenSpool(actor=context.actor, workspace=workspace, folder=folder))}
    return {"spool": context.api.call(CloseSpool(actor=context.actor, workspace=workspace))}


def in_words(context: Context, workspace: str) -> None:
    """As `in_document`, and say so."""
    done = in_document(context, workspace).get("spool")
    if done is None:
        return
    if not context.arguments.spool:
        told = "Commands no longer come through files" if done["closed"] else "No spool was open"
        say(context, confirmed(context, told))
        return
    folder = neutralise(str(done["folder"]))
    opened = "Opened the spool" if done["created"] else "The spool is open"
    say(context, confirmed(context, f"{opened}: commands from sandboxes come through {folder}"))
    say(context, "  Let the sandbox write to that folder; its token is as good as a password for this project")


# -- spool status ------------------------------------------------------------------------------------------------
def spool_words(spool: Mapping[str, Any], now_ms: int) -> str:
    """How a spool stands, in words: how full, how old, what is wrong."""
    told = [f"{spool['waiting']:,} of {SPOOL_FILES:,} commands wait, {size(spool['bytes'])}"]
    if spool["oldest_ms"] is not None:
        told.append(f"the oldest for {_lasted(now_ms - spool['oldest_ms'])}")
    made_ms = spool["snapshot_ms"]
    told.append("no snapshot yet" if made_ms is None else f"snapshot {_lasted(now_ms - made_ms)} old")
    if spool["refused"]:
        told.append(f"{several(spool['refused'], 'file')} refused")
    if spool["problem"]:
        told.append(neutralise(str(spool["problem"])))
    return "; ".join(told)


def _lasted(ms: int) -> str:
    return f"{max(ms, 0) // _SECOND_MS} s" if ms < _BRIEF_MS else when.lasted(ms)


def _spool_status(context: Context) -> int:
    spools = context.api.call(Status()).get("spools", [])
    answer(context, spools, _lines(context, spools))
    note_copied_spool(context)
    return exits.OK


def _lines(context: Context, spools: list[dict[str, Any]]) -> Iterator[str]:
    if not spools:
        yield "No spool is open; `moot init --spool` opens one for the project here"
    for spool in spools:
        where = f"{neutralise(spool['project'])} in {neutralise(spool['folder'])}"
        yield f"{where}: {spool_words(spool, context.now_ms)}"
        if spool["problem"] and spool["hint"]:
            yield f"  {neutralise(str(spool['hint']))}"


COMMANDS: Final = (
    Command(
        "spool status",
        "Whether commands may come through files, and what waits",
        no_arguments,
        _spool_status,
        examples=("moot spool status",),
        alone=True,
    ),
)
"""The commands of this module."""
