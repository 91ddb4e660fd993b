"""Memories and settings that were written apart: whoever reads one of the values is told that there are others.

Invariant: nothing of it goes to standard output, whose shapes are those of `bd`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from moot.console.command import Context
from moot.console.context import note
from moot.console.lines.kept import keys_in_conflict, others_of, settling, value_words, writer_words
from moot.console.text.safe_text import neutralise
from moot_protocol.issues.settings import KV
from moot_protocol.merge.kinds import MEMORY, SETTING


def note_others(context: Context, kept: Mapping[str, Any]) -> None:
    """Tell the other values of a memory or setting that is read, whole, and how to settle it."""
    others = others_of(kept)
    if not others:
        return
    key = str(kept["key"])
    kind = MEMORY if "text" in kept else SETTING
    for each in others:
        who = writer_words(each, context.now_ms)
        note(context, f"({neutralise(key.removeprefix(KV))} is in conflict; written apart by {who}:)")
        note(context, value_words(each["value"], whole=True))
    command = settling(context.terminal.facts.program, kind, key, of_town=kept.get("of") == "town")
    note(context, f"(`{command}` settles it)")


def note_conflicts(context: Context, found: Sequence[Mapping[str, Any]]) -> None:
    """Tell which of those that are listed are in conflict."""
    if keys := keys_in_conflict(found):
        note(context, f"(in conflict: {keys}; `{context.terminal.facts.program} conflicts` shows all values)")
