"""prime: what an agent is told at the start of a session, in at most 1,800 bytes.

In a folder that belongs to no project it says nothing and succeeds, so that a hook can run it everywhere.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.lines.prime_text import KINDS, MOST_BYTES, Primed, Wanted, missing_of, prime_text
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.settings import problem_of
from moot_protocol.requests.memories import Prime, Settings

_MOST_MEMORIES: Final = "prime.max-memories"
_MOST_BYTES: Final = "prime.max-memory-chars"


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--after-compact", action="store_true", help="only what a session that goes on needs")
    add("--memories-only", action="store_true", help="memories, no work")
    add("--no-memories", action="store_true", help="work, no memories")
    add("--max-memories", type=int, metavar="N", help="memories at most; 0: as many as fit")
    add("--max-memory-chars", type=int, metavar="N", help="bytes of memories at most; 0: as many as fit")
    add("--hook-json", action="store_true", help="wrapped as hooks of agents want it")
    for flag in ("--full", "--mcp", "--stealth", "--export"):
        add(flag, action="store_true", help="accepted for bd's sake: the text is short, and names no git command")


def _prime(context: Context) -> int:
    if not context.project:
        return exits.OK
    wanted = _wanted(context)
    found = context.api.call(Prime(project=context.project, plane=context.plane, actor=context.actor))
    program = context.terminal.facts.program
    primed = prime_text(found, context.project, program, wanted)
    if context.arguments.hook_json:
        told = {"hookEventName": "SessionStart", "additionalContext": primed.text}
        documents.write(context, {"hookSpecificOutput": told})
    elif context.json:
        documents.write(context, _document(context, found, primed))
    else:
        context.terminal.out(primed.text)
    return exits.OK


def _wanted(context: Context) -> Wanted:
    given = context.arguments
    settings = {
        each["key"]: int(each["value"])
        for each in context.api.call(Settings(project=context.project, plane=context.plane, prefix="prime."))
        if each["key"] in {_MOST_MEMORIES, _MOST_BYTES} and not problem_of(each["key"], each["value"])
    }
    most, most_bytes = given.max_memories, given.max_memory_chars
    if (most or 0) < 0 or (most_bytes or 0) < 0:
        raise RefusedError("a limit can't be negative", code=Code.USAGE, hint="0: as many as fit")
    return Wanted(
        memories=given.memories_only or not given.no_memories,
        work=not given.memories_only,
        after_compact=given.after_compact,
        most_memories=settings.get(_MOST_MEMORIES, 0) if most is None else most,
        most_memory_bytes=settings.get(_MOST_BYTES, 0) if most_bytes is None else most_bytes,
    )


def _document(context: Context, found: Mapping[str, Any], primed: Primed) -> dict[str, Any]:
    """What the text holds as a document, whole values, cut from the end until it is as short as the text may be."""
    shown = dict(primed.shown)
    while True:
        document: dict[str, Any] = {"project": context.project, "actor": context.actor}
        document |= {kind: list(map(documents.without_marks, found[kind][: shown[kind]])) for kind in KINDS}
        more = {"more_ready": found["ready_total"] is None, "of_other_towns": found["foreign"]}
        document["left_out"] = missing_of(found, shown) | more
        longest = next((kind for kind in reversed(KINDS) if shown[kind]), "")
        if not longest or len(documents.encoded(document).encode("utf-8", "replace")) <= MOST_BYTES:
            return document
        shown[longest] -= 1


COMMANDS: Final = (
    Command(
        "prime",
        "What an agent should know first, in at most 1,800 bytes",
        _arguments,
        _prime,
        examples=("moot prime", "moot prime --after-compact", "moot prime --json"),
    ),
)
"""The commands of this module."""
