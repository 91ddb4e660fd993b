"""Memories and settings that were written apart, as lines: every value, by whom and when, and what settles it.

They are told as the daemon answers them: of a conflict with `values`, the one that is shown among them.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from moot.console.lines.issues import origin_mark, text_of
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import cut
from moot_protocol.issues.settings import KV
from moot_protocol.merge.kinds import MEMORY, SETTING

VALUE_WIDTH: Final = 200
"""Cells of a value on its line; `--json` has all of it."""

Kept = Mapping[str, Any]


def others_of(kept: Kept) -> list[Kept]:
    """The values of a memory or setting in conflict that aren't the one shown; none where there is no conflict."""
    shown = kept["text"] if "text" in kept else kept["value"]
    return [each for each in kept.get("values", ()) if each["value"] != shown]


def value_words(value: Any, *, whole: bool = False) -> str:
    """A value as safe text; on one line and cut if it is long, unless the whole is wanted."""
    if value is None:
        return "(it isn't here)"
    if value == "":
        return "(taken away)"
    return neutralise(str(value), keep_newlines=True) if whole else cut(neutralise(str(value)), VALUE_WIDTH)


def writer_words(value: Kept, now_ms: int) -> str:
    """Who wrote a value, of which other town, and when."""
    moment = when.instant(value.get("at"))
    actor = " ".join(filter(None, (text_of(value, "actor"), origin_mark(value))))
    return ", ".join(filter(None, (actor, "" if moment is None else when.age(moment, now_ms))))


def settling(program: str, kind: str, key: str, *, of_town: bool = False) -> str:
    """The command that settles a conflict: writing it again."""
    if kind == MEMORY:
        return f"{program} remember TEXT --key {_word(key)}"
    if key.startswith(KV):
        return f"{program} kv set {_word(key.removeprefix(KV))} VALUE"
    return f"{program} config set {_word(key)} VALUE{' --town' if of_town else ''}"


def _word(key: str) -> str:
    return shlex.quote(neutralise(key))


def conflict_of(kept: Kept, project: str) -> dict[str, Any]:
    """A memory or setting in conflict as `conflicts` has it: as an issue's, with `kind`, `key` and `project`."""
    is_memory = "text" in kept
    kind, field = (MEMORY, "text") if is_memory else (SETTING, "value")
    return {
        "id": f"{kind}/{kept['key']}",
        "field": field,
        "kind": kind,
        "key": kept["key"],
        "project": "" if kept.get("of") == "town" else project,
        "shown": kept[field] or None,
        "values": kept["values"],
    }


def conflict_lines(style: Style, conflicts: Iterable[Kept], now_ms: int, program: str) -> list[str]:
    """For each conflict what is shown, every value, and the command that settles it."""
    told: list[str] = []
    for conflict in conflicts:
        kind, key, project = str(conflict["kind"]), str(conflict["key"]), text_of(conflict, "project")
        name, place = f"{kind} {style.heading(neutralise(key))}", f"project {project}" if project else "the town"
        told.append(f"  {name} of {place} shows {value_words(conflict['shown'] or '')}")
        told += [f"    - {_value_line(style, value, now_ms)}" for value in conflict["values"]]
        command = settling(program, kind, key, of_town=not project)
        told.append(style.faint(f"    `{command}` settles it"))
    return told


def _value_line(style: Style, value: Kept, now_ms: int) -> str:
    return f"{value_words(value['value'])} {style.faint(f'({writer_words(value, now_ms)})')}"


def keys_in_conflict(found: Sequence[Kept]) -> str:
    """The keys of those in conflict, as safe text; empty where none is."""
    return ", ".join(neutralise(str(each["key"]).removeprefix(KV)) for each in found if each.get("conflict"))
