"""merge-file: git's merge driver for Beads files, by issue and field.

It needs no town and no daemon: `moot/merge_file.py` runs it in the client's own process when git calls it.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.commands.log.mirror import DRIVER
from moot.console.context import note, write_private
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIRROR_BYTES

if TYPE_CHECKING:
    from moot_protocol.mirrors.merging import Disagreement, Merged

SHOWN: Final = 50
"""Disagreements told one by one at most."""
_VALUE_CHARS: Final = 60


def merged_lines(merged: "Merged") -> Iterator[str]:
    """What somebody has to look at, in lines that are safe to print."""
    found = [*map(_disagreement, merged.disagreements)]
    found += [
        f"  {'ours' if unread.is_ours else 'theirs'}, line {unread.line}: left out, {neutralise(unread.problem)}"
        for unread in merged.unread
    ]
    if found:
        yield f"{len(found):,} to look at; the newer value is shown:"
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN:,} more"
    if merged.known:
        known = several(len(merged.known), "line")
        yield f"left out, as it can't be read on either side: {known} that stood there before"
        yield from (f"  line {each.line}: {neutralise(each.problem)}" for each in merged.known[:SHOWN])


def _disagreement(found: "Disagreement") -> str:
    from moot_protocol.mirrors.merging import GONE

    name = neutralise(found.id.lstrip("\0"))
    if found.field == GONE:
        side, other = ("ours", "theirs") if found.ours else ("theirs", "ours")
        return f"  {name}: deleted in {side}, changed in {other}; what was changed is kept"
    return f"  {name} {neutralise(found.field)}: ours {_shown(found.ours)}, theirs {_shown(found.theirs)}"


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return neutralise(text if len(text) <= _VALUE_CHARS else f"{text[: _VALUE_CHARS - 1]}…")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="what both sides began with")
    parser.add_argument("ours", metavar="OURS", help="our side; the result is written here")
    parser.add_argument("theirs", metavar="THEIRS", help="their side")


def _merge_file(context: Context) -> int:
    from moot_protocol.mirrors.merging import merge  # git calls it in a process of its own

    given = context.arguments
    merged = merge(*(_content(context, path) for path in (given.base, given.ours, given.theirs)))
    write_private(context, given.ours, [merged.content])
    if context.json:
        disagreements = [found._asdict() for found in merged.disagreements]
        unread, known = ([found._asdict() for found in part] for part in (merged.unread, merged.known))
        told = {"disagreements": disagreements, "unread": unread, "known": known}
        documents.write(context, {"clean": merged.is_clean, **told})
    else:
        for line in merged_lines(merged):
            note(context, line)
    return exits.OK if merged.is_clean else exits.FAILED


def _content(context: Context, path: str) -> bytes:
    content = bytearray()
    for chunk in context.terminal.read_file(path):
        content += chunk
        if len(content) > MIRROR_BYTES:
            raise RefusedError(f"{path} holds more than {MIRROR_BYTES} bytes", code=Code.LIMIT)
    return bytes(content)


COMMANDS: Final = (
    Command(
        "merge-file",
        "Merge three states of a Beads file by issue and field, as git's merge driver",
        _arguments,
        _merge_file,
        examples=("moot merge-file base.jsonl ours.jsonl theirs.jsonl", *DRIVER),
        alone=True,
    ),
)
