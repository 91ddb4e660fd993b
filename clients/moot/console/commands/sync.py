"""The exchange: sync, and the outbox of what waits for it."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import as_bd, documents, exits, when
from moot.console.amounts import several, size
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.remotes import NO_REMOTES
from moot.console.confirm import confirmed
from moot.console.context import answer, say
from moot.console.exchange_lines import clash_words, table
from moot.console.progress import Progress
from moot.console.safe_text import neutralise
from moot.console.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange_requests import OutboxInfo, Sync

STRETCH_MS: Final = 1_000
"""How long one request waits for news, in milliseconds: about as long as a count that stands still is borne."""
_COUNTED: Final = ("sent", "received", "queued")


# -- sync --------------------------------------------------------------------------------------------------------
def _sync_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--plane", default="", metavar="PLANE", help="only this plane")
    parser.add_argument("--wait", action="store_true", help="until everything known on both sides is exchanged")
    parser.add_argument("--status", action="store_true", help="exchange nothing: what waits for each remote")
    for flag in ("--full", "--flush-only", "--import-only", "--no-pull", "--no-push", "--from-main", "--squash"):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: every exchange goes both ways")
    for flag in ("--ours", "--theirs", "--manual"):
        parser.add_argument(flag, action="store_true", help="accepted for bd's sake: both sides are merged")
    parser.add_argument("-m", "--message", help="accepted for bd's sake: an exchange has no message")
    parser.add_argument("--remote", metavar="NAME", help="accepted for bd's sake: it is all remotes")
    parser.add_argument("--force", action="store_true", help="accepted for bd's sake: nothing is ever overwritten")


def _sync(context: Context) -> int:
    if context.arguments.status:
        return _outbox(context)
    exchange = _exchanged(context)
    unreached, unopened = _unreached(exchange), _unopened(context, exchange)
    if context.json:
        failed = failure(context, unreached)
        if not failed and unopened is not None:
            failed = documents.failure(unopened, is_bd=context.terminal.facts.is_bd)
        documents.write(context, exchange | failed)
        if context.terminal.facts.is_bd:  # its callers show a failure's words
            _tell_failures(context, unreached, unopened)
    else:
        _tell(context, exchange)
    if unreached:
        return exits.UNREACHABLE
    # Every remote was reached, so it isn't that; nothing is wrong with them, and the same command succeeds later.
    return exits.OK if unopened is None else exits.TRY_AGAIN


def _exchanged(context: Context) -> dict[str, Any]:
    """What the exchange has come to: at its end if that is waited for, else as it begins."""
    given = context.arguments
    if not given.wait:
        return context.api.call(Sync(plane=given.plane))
    progress = Progress(context, "exchanging")
    cursor = ""
    while True:
        exchange = context.api.call(Sync(plane=given.plane, cursor=cursor, wait_ms=STRETCH_MS))
        if exchange["done"]:
            break
        progress.tell("; ".join(f"{neutralise(str(each['remote']))} {_counts(each)}" for each in exchange["remotes"]))
        cursor = exchange["cursor"]
    progress.end()
    return exchange


def _unreached(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    return [remote for remote in exchange["remotes"] if remote["error"]] if exchange["done"] else []


def _unopened(context: Context, exchange: dict[str, Any]) -> RefusedError | None:
    """What is to be said where frames have come and can't be opened: then nobody is in step, whoever was reached."""
    found = exchange.get("unopened", ()) if exchange["done"] else ()
    if not found:
        return None
    words = [f"{several(each['frames'], 'frame')} of plane {each['plane']} on {each['remote']}" for each in found]
    return RefusedError(
        f"{', '.join(words)} can't be opened: the key isn't here yet",
        code=Code.UNKNOWN_EPOCH,
        hint="they are opened once this machine has the plane's newest key: "
        f"`{context.terminal.facts.program} sync --wait` again in a minute; "
        "else ask an admin of the plane to sync too, or for a new invite",
        retryable=True,
    )


def failure(context: Context, unreached: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a document says of remotes that couldn't be reached: what any failure has in it; nothing if there are none.

    Args:
        context: the command's.
        unreached: those remotes, as `Sync` answers them.
    """
    if not unreached:
        return {}
    names = [str(remote["remote"]) for remote in unreached]
    error = RefusedError(
        "; ".join(f"{name} can't be reached: {remote['error']}" for name, remote in zip(names, unreached, strict=True)),
        code=Code.UNREACHABLE,
        hint=_hint(context, "them" if names[1:] else "it", names[0]),
        retryable=True,
    )
    return documents.failure(error, is_bd=context.terminal.facts.is_bd)


def _hint(context: Context, whom: str, remote: str) -> str:
    program = context.terminal.facts.program
    return f"what waits for {whom} is kept and goes later; `{program} remote test {remote}` tells more"


def _counts(remote: dict[str, Any]) -> str:
    return ", ".join(f"{remote[name]:,} {name}" for name in _COUNTED)


def _tell_failures(context: Context, unreached: Sequence[Mapping[str, Any]], unopened: RefusedError | None) -> None:
    for remote in unreached:
        name = neutralise(str(remote["remote"]))
        context.terminal.err(f"Error: {name} can't be reached: {neutralise(str(remote['error']))}\n")
        context.terminal.err(f"Hint: {_hint(context, 'it', name)}\n")
    if unopened is not None:
        context.terminal.err(f"Error: {neutralise(unopened.message)}\nHint: {neutralise(unopened.hint)}\n")


def _tell(context: Context, exchange: dict[str, Any]) -> None:
    style, program = style_of(context.terminal.facts), context.terminal.facts.program
    if not exchange["remotes"]:
        if context.terminal.facts.is_bd:  # its callers take a command that prints nothing for one that failed
            say(context, confirmed(context, "Nothing to sync: every write is kept here, and there are no remotes"))
        else:
            context.terminal.err(f"{NO_REMOTES}\n")
        return
    unreached, unopened = _unreached(exchange), _unopened(context, exchange)
    for row in table(style, [_cells(remote, told=bool(unreached)) for remote in exchange["remotes"]]):
        say(context, row)
    _tell_failures(context, unreached, unopened)
    if not exchange["done"]:
        say(context, f"The exchange goes on; `{program} sync --wait` waits for its end")
    elif not unreached and unopened is None:
        say(context, confirmed(context, f"In step with {several(len(exchange['remotes']), 'remote')}"))
    for plane in exchange.get("waiting", ()):
        context.terminal.err(
            f"Plane {neutralise(str(plane))} still waits for its charter: "
            "whoever invited this machine has to sync too\n"
        )
    if exchange.get("clashes"):
        context.terminal.err(f"Warning: {clash_words(exchange['clashes'])}\n")


def _cells(remote: dict[str, Any], *, told: bool) -> list[str]:
    """A remote's row, with its error unless that is told beside the table."""
    counts = [f"{remote[name]:,} {name}" for name in _COUNTED]
    error = "" if told else neutralise(str(remote["error"]))
    return [neutralise(str(remote["remote"])), neutralise(str(remote["state"])), *counts, error]


# -- dolt commit -------------------------------------------------------------------------------------------------
def _commit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-m", "--message", help="accepted for bd's sake: every write says by itself what it is")


def _commit(context: Context) -> int:
    answer(context, {"committed": False}, ["Nothing to commit: every write is committed when it is answered"])
    return exits.OK


# -- outbox ------------------------------------------------------------------------------------------------------
def _outbox(context: Context) -> int:
    boxes = context.api.call(OutboxInfo())
    if context.json or boxes:
        answer(context, boxes, _boxed(style_of(context.terminal.facts), boxes))
    else:
        is_bd = context.terminal.facts.is_bd
        context.terminal.err(f"{as_bd.hint(NO_REMOTES) if is_bd else NO_REMOTES}\n")
    return exits.OK


def _boxed(style: Style, boxes: list[dict[str, Any]]) -> Iterator[str]:
    yield from table(style, [_box_cells(box) for box in boxes])
    for box in boxes:
        if box["is_nearly_full"]:
            name = neutralise(str(box["remote"]))
            yield f"{style.alarm('nearly full')}: {name}; then the oldest frames make room, and are made again later"


def _box_cells(box: dict[str, Any]) -> list[str]:
    return [
        neutralise(str(box["remote"])),
        f"{box['frames']:,} of {several(box['most_frames'], 'frame')}",
        f"{size(box['bytes'])} of {size(box['most_bytes'])}",
        f"oldest {when.lasted(box['oldest_ms'], units=1)}" if box["frames"] else "",
        f"{box['dropped']:,} dropped" if box["dropped"] else "",
    ]


COMMANDS: Final = (
    Command(
        "sync",
        "Exchange with the remotes now",
        _sync_arguments,
        _sync,
        aliases=("dolt push", "dolt pull"),
        examples=("moot sync --wait", "moot sync --plane ledger"),
        alone=True,
    ),
    Command(
        "dolt commit",
        "For programs that know bd: nothing is left to be committed",
        _commit_arguments,
        _commit,
        aliases=("vc commit",),
        alone=True,
    ),
    Command("outbox", "What waits for each remote, and how full that is", no_arguments, _outbox, alone=True),
)
