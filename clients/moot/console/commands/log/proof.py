"""prove and verify-proof: show one event to somebody who holds neither the log nor a daemon.

A proof file is text, fit for mail: one proof a line, `moot-proof-1` and base64url; lines that begin with `#` say in
words what the next one is about and prove nothing. Verifying needs the file alone.
"""

import base64
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.commands.issues.history import changes_text, event_meant
from moot.console.context import answer, note, read_text, write_private
from moot.console.lines.confirm import confirmed
from moot.console.text import when
from moot.console.text.amounts import several
from moot.console.text.field_words import field_words
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.limits import MIB
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.machine import Prove, ProveEvent

if TYPE_CHECKING:
    from moot_protocol.trust.proof import ProvenChange, ProvenEvent

MARK: Final = "moot-proof-1"
"""What a line with a proof begins with: its kind and version."""
FILE_BYTES: Final = 64 * MIB
"""Bytes of the largest proof file that is read."""


# -- prove -------------------------------------------------------------------------------------------------------
def _prove_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="the issue; without one -n names any event")
    parser.add_argument(
        "-n",
        default="",
        metavar="N",
        help="only the event with this number, the n= of `moot history ID` or `moot events`; N@KEY: another machine's",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file; else stdout")


def _prove(context: Context) -> int:
    given = context.arguments
    proofs = _proofs(context, given.id, given.n)
    if given.output not in {None, "-"}:
        lines = (line.encode() for line in _file_lines(proofs))
        write_private(context, given.output, lines, parents=False)
        told = f"Wrote {several(len(proofs), 'proof')} to {neutralise(given.output)}"
        answer(context, {"file": given.output, "proofs": len(proofs)}, [confirmed(context, told)])
    elif context.json:
        documents.write(context, [{**proof, "proof": _armoured(proof["proof"])} for proof in proofs])
    else:
        for line in _file_lines(proofs):
            context.terminal.out(line)
    return exits.OK


def _proofs(context: Context, issue: str, typed: str) -> list[dict[str, Any]]:
    """The proofs that are asked for: of an issue's events, of one of them, or of an event that no issue is named of."""
    n, author = _event(typed) if typed else (None, "")
    if issue:
        return context.api.call(Prove(id=issue, n=n, author=author))
    if n is None:
        hint = "`moot prove ID` proves an issue's events, `moot prove -n N@KEY` any other that `moot events` shows"
        raise RefusedError("prove needs an issue or an event", code=Code.USAGE, hint=hint)
    proofs = context.api.call(ProveEvent(n=n, author=author))
    if not proofs:  # the rules here show its asker none of them
        raise RefusedError(f"no event {typed} that you may see", code=Code.NOT_FOUND)
    return proofs


def _event(typed: str) -> tuple[int, str]:
    event = event_meant(typed)
    if event is None:
        hint = "`moot history ID` shows it as n=N, or n=N@KEY"
        raise RefusedError(f"no event's number: {typed}", code=Code.USAGE, hint=hint)
    return event


def _file_lines(proofs: list[dict[str, Any]]) -> Iterator[str]:
    for proof in proofs:
        yield f"# {_in_words(proof['what'])}\n{MARK} {_armoured(proof['proof'])}\n"


def _in_words(event: Mapping[str, Any]) -> str:
    """What an event is about, on one line."""
    actor = f"by {event['actor']} " if event["actor"] else ""
    about = f"{event['kind']} {event['entity']}, event {event['n']}, {actor}at {when.rfc3339(event['at'])}"
    return f"{neutralise(about)}: {changes_text(event)}"


def _armoured(proof: bytes) -> str:
    return base64.urlsafe_b64encode(proof).decode()


# -- verify-proof ------------------------------------------------------------------------------------------------
def _verify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file that `moot prove` wrote; - is stdin")


def _verify(context: Context) -> int:
    source = read_text(context, context.arguments.file, FILE_BYTES)
    proven = [_verified(number, text) for number, text in enumerate(source.split("\n"), start=1) if _holds(text)]
    if not proven:
        raise MalformedError("there is no proof in this file")
    lines = (line for event in proven for line in _shown(context, event))
    answer(context, {"ok": True, "proofs": [_document(event) for event in proven]}, lines)
    if not context.json:
        not_shown = dict.fromkeys(told for event in proven for told in event.not_shown)
        note(context, "Not shown:\n" + "\n".join(f"  {told}" for told in not_shown))
    return exits.OK


def _holds(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _verified(number: int, line: str) -> "ProvenEvent":
    from moot_protocol.trust.proof import verify_proof  # few daemons ever verify any
    from moot_protocol.trust.proof_chain import BrokenProofError

    mark, _, text = line.strip().partition(" ")
    if mark != MARK:
        raise MalformedError(f"line {number}: no proof: it begins with {mark[:20]!r} and not with {MARK}")
    try:
        return verify_proof(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
    except BrokenProofError as error:
        raise MalformedError(
            f"line {number}: the {error.link} doesn't hold: {error.message}", code=error.code
        ) from error
    except MalformedError as error:
        raise MalformedError(f"line {number}: no proof: {error.message}", code=error.code) from error
    except ValueError as error:
        raise MalformedError(f"line {number}: no proof: not base64url") from error


def _shown(context: Context, event: "ProvenEvent") -> Iterator[str]:
    yield confirmed(context, f"{neutralise(event.kind)} {neutralise(event.entity)}: event {event.n} is proven")
    yield f"  signed by replica {key_text(event.replica)} ({event.role})"
    if event.invite:
        yield f"  which joined with invite {key_text(event.invite)}"
    yield f"  of town {key_text(event.town)}"
    for town in event.through:
        yield f"  let in by town {key_text(town)}"
    yield f"  on plane {neutralise(event.plane_name)} {event.plane.hex()}; compare this id with the one you know"
    actor = f"as {neutralise(event.actor)} " if event.actor else ""
    yield f"  {actor}at {when.short_date(event.time_ms)}"
    for change in event.changes:
        yield f"  {neutralise(change.key)}{_change(change)}"


def _change(change: "ProvenChange") -> str:
    if change.removes:
        return ": removed"
    if change.value is MISSING:
        return ": not shown (withheld or erased)"
    told = field_words(change.key, change.value)
    if told is None:
        told = change.value if isinstance(change.value, str) else documents.encoded(_plain(change.value))
    return f" = {neutralise(told)}"


def _plain(value: Any) -> Any:
    """A value as documents can hold it, as `moot events` shows it: bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def _document(event: "ProvenEvent") -> dict[str, Any]:
    return {
        "plane": event.plane.hex(),
        "plane_name": event.plane_name,
        "town": key_text(event.town),
        "let_in_by": [key_text(town) for town in event.through],
        "replica": key_text(event.replica),
        "invite": key_text(event.invite) if event.invite else None,
        "role": str(event.role),
        "n": event.n,
        "batch": event.batch.hex(),
        "at": when.rfc3339(event.time_ms),
        "actor": event.actor,
        "kind": event.kind,
        "entity": event.entity,
        "changes": [_change_document(change) for change in event.changes],
        "not_shown": list(event.not_shown),
    }


def _change_document(change: "ProvenChange") -> dict[str, Any]:
    if change.removes:
        return {"field": change.key, "removed": True}
    return (
        {"field": change.key, "missing": True}
        if change.value is MISSING
        else {
            "field": change.key,
            "value": _plain(change.value),
        }
    )


COMMANDS: Final = (
    Command(
        "prove",
        "Write proofs of an issue's events, or of any other event, for others to verify",
        _prove_arguments,
        _prove,
        examples=("moot prove bd-a1b2 -o bd-a1b2.proof", "moot prove bd-a1b2 -n 17", "moot prove -n 4@VMqzmfZv"),
    ),
    Command(
        "verify-proof",
        "Verify proofs; needs the file alone",
        _verify_arguments,
        _verify,
        examples=("moot verify-proof bd-a1b2.proof",),
        alone=True,
        unaided=True,
    ),
)
