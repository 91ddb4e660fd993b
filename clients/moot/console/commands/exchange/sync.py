"""The exchange: sync, and the outbox of what waits for it."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import as_bd, documents, exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.exchange.remotes import NO_REMOTES
from moot.console.context import answer, say
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import clash_words, table
from moot.console.progress import Progress
from moot.console.text import when
from moot.console.text.amounts import several, size
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import OutboxInfo, Sync

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
    if context.json:
        documents.write(context, exchange | failure(context, exchange))
    else:
        _tell(context, exchange)
    tell_failures(context, exchange)
    if not context.json and exchange["remotes"]:
        _tell_outcome(context, exchange)
    return exit_code(exchange)


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


# -- What an exchange has left undone ----------------------------------------------------------------------------
def unreached(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    """The remotes that an exchange that has ended couldn't reach."""
    return [remote for remote in exchange["remotes"] if remote["error"]] if exchange["done"] else []


def has_failed(exchange: dict[str, Any]) -> bool:
    """Whether an exchange has ended and hasn't brought everybody into step."""
    return exit_code(exchange) != exits.OK


def exit_code(exchange: dict[str, Any]) -> int:
    """How a command ends whose exchange came to this."""
    if unreached(exchange):
        return exits.UNREACHABLE
    # Every remote was reached, so it isn't that; nothing is wrong with them, and the same command succeeds later.
    return exits.TRY_AGAIN if _withheld(exchange) else exits.OK


def _withheld(exchange: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The frames that have come and can't be opened: then nobody is in step, whoever was reached."""
    return exchange.get("unopened", ()) if exchange["done"] else ()


def failure(context: Context, exchange: dict[str, Any]) -> dict[str, Any]:
    """What a document says of an exchange that has failed: what any failure has in it; nothing if it hasn't.

    Args:
        context: the command's.
        exchange: as `Sync` answers it.
    """
    remotes = unreached(exchange)
    if remotes:
        names = [str(remote["remote"]) for remote in remotes]
        words = [f"{name} can't be reached: {remote['error']}" for name, remote in zip(names, remotes, strict=True)]
        hint = _hint(context, "them" if names[1:] else "it", names[0])
        error = RefusedError("; ".join(words), code=Code.UNREACHABLE, hint=hint, retryable=True)
    elif withheld := _withheld(exchange):
        error = _unopened(context, withheld)
    else:
        return {}
    return documents.failure(error, is_bd=context.terminal.facts.is_bd)


def _unopened(context: Context, withheld: Sequence[Mapping[str, Any]]) -> RefusedError:
    words = [f"{several(each['frames'], 'frame')} of plane {each['plane']} on {each['remote']}" for each in withheld]
    return RefusedError(
        f"{', '.join(words)} can't be opened: the key isn't here yet",
        code=Code.UNKNOWN_EPOCH,
        hint="they are opened once this machine has the plane's newest key: "
        f"`{context.terminal.facts.program} sync --wait` again in a minute; "
        "else ask an admin of the plane to sync too, or for a new invite",
        retryable=True,
    )


def tell_failures(context: Context, exchange: dict[str, Any]) -> None:
    """Say on standard error what an exchange has left undone; not beside a document that says it, but to bd's callers.

    Those show a failure's words.
    """
    if context.json and not context.terminal.facts.is_bd:
        return
    for remote in unreached(exchange):
        name = neutralise(str(remote["remote"]))
        context.terminal.err(f"Error: {name} can't be reached: {neutralise(str(remote['error']))}\n")
        context.terminal.err(f"Hint: {_hint(context, 'it', name)}\n")
    if withheld := _withheld(exchange):
        unopened = _unopened(context, withheld)
        context.terminal.err(f"Error: {neutralise(unopened.message)}\nHint: {neutralise(unopened.hint)}\n")


def _hint(context: Context, whom: str, remote: str) -> str:
    program = context.terminal.facts.program
    return f"what waits for {whom} is kept and goes later; `{program} remote test {remote}` tells more"


def _counts(remote: dict[str, Any]) -> str:
    return ", ".join(f"{remote[name]:,} {name}" for name in _COUNTED)


def _tell(context: Context, exchange: dict[str, Any]) -> None:
    if not exchange["remotes"]:
        if context.terminal.facts.is_bd:  # its callers take a command that prints nothing for one that failed
            say(context, confirmed(context, "Nothing to sync: every write is kept here, and there are no remotes"))
        else:
            context.terminal.err(f"{NO_REMOTES}\n")
        return
    told = bool(unreached(exchange))
    for row in table(style_of(context.terminal.facts), [_cells(remote, told=told) for remote in exchange["remotes"]]):
        say(context, row)


def _tell_outcome(context: Context, exchange: dict[str, Any]) -> None:
    """What the rows don't say: whether that was all, and what is to be known beside it."""
    if not exchange["done"]:
        say(context, f"The exchange goes on; `{context.terminal.facts.program} sync --wait` waits for its end")
    elif not has_failed(exchange):
        say(context, confirmed(context, f"In step with {several(len(exchange['remotes']), 'remote')}"))
    for plane in exchange.get("waiting", ()):
        context.terminal.err(
            f"Plane {neutralise(str(plane))} still waits for its charter: "
            "whoever invited this machine has to sync too\n"
        )
    for plane in exchange.get("excluded", ()):
        context.terminal.err(
            f"Warning: on plane {neutralise(str(plane))} nothing counts that this machine writes: "
            f"`{context.terminal.facts.program} status` says what it lacks\n"
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
    boxes = context.api.call(OutboxInfo(plane=getattr(context.arguments, "plane", "")))
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
        examples=('moot dolt commit -m "Done for today"  # taken, and nothing is left to do',),
    ),
    Command(
        "outbox",
        "What waits for each remote, and how full that is",
        no_arguments,
        _outbox,
        alone=True,
        examples=("moot outbox", "moot outbox --json"),
    ),
)
