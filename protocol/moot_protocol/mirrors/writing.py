"""What is written into a mirrored Beads file: lines of issues that didn't change keep their bytes and their places.

Invariant: a line is replaced only where it says something else than its issue; what of it can't be stored stays in it.
New lines stand before the first line of a greater id, as in an export, which is in order of id.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from moot_protocol.beads.lines import ImportedIssue, parse_line
from moot_protocol.issues.issue import ABSENT_PRIORITY
from moot_protocol.mirrors.lines import id_of
from moot_protocol.text import json_text

_SAID: Final = ("id", "texts", "labels", "edges", "comments", "metadata", "extra", "deleted")


def rewritten(lines: Sequence[bytes], wanted: Mapping[str, bytes | None]) -> list[bytes]:
    """A file's lines after some issues changed.

    Args:
        lines: the file's, as `mirror_lines.split` gives them.
        wanted: id -> the line as an export has it; None for an issue that has none (any more): its line is taken away.
            A deleted issue's line becomes its tombstone; where there is none, none is made.
    """
    waiting = dict(wanted)
    ids = [id_of(line) for line in lines]
    kept: list[tuple[str | None, bytes]] = []
    for name, line in zip(ids, lines, strict=True):
        if name is None or name not in wanted:
            kept.append((name, line))
        elif name in waiting:  # of an id that stands twice, the first line counts
            exported = waiting.pop(name)
            if exported is not None:
                kept.append((name, updated(line, exported)))
        else:
            kept.append((name, line))
    new = sorted((name, line) for name, line in waiting.items() if line is not None and not _is_tombstone(line))
    end = b"\r" if any(line.endswith(b"\r") for line in lines[:1]) else b""
    return placed(kept, [(name, line + end) for name, line in new])


def _is_tombstone(line: bytes) -> bool:
    parsed = parse_line(line, 1)
    return isinstance(parsed, ImportedIssue) and parsed.deleted is not None


def updated(line: bytes, exported: bytes) -> bytes:
    """An issue's line: as it was, if it says the same as the exported one, else the exported one."""
    end = b"\r" if line.endswith(b"\r") else b""
    before = parse_line(line, 1)
    if not isinstance(before, ImportedIssue):
        return exported + end
    if before.left_out:
        held, document = json.loads(line), json.loads(exported)
        document |= {name: held[name] for name in held if name in before.left_out}
        exported = _to_line(document) or exported
    after = parse_line(exported, 1)
    return line if isinstance(after, ImportedIssue) and _says(before) == _says(after) else exported + end


def _to_line(document: dict[str, Any]) -> bytes | None:
    try:
        return json_text.to_line(document)
    except ValueError:
        return None  # what can't be stored may be what no JSON can hold


def _says(issue: ImportedIssue) -> list[Any]:
    """What a line says; leaving the priority out says what Beads reads then."""
    registers = {"priority": ABSENT_PRIORITY, **issue.registers}
    return [registers, *(getattr(issue, name) for name in _SAID)]


def placed(lines: Sequence[tuple[str | None, bytes]], new: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """Lines with new ones among them: each before the first line of a greater id, else at the end.

    Args:
        lines: id, or None for a line that is no issue's, and line, in the file's order.
        new: id and line, in order of id.
    """
    return list(_placed(lines, list(new)))


def _placed(lines: Sequence[tuple[str | None, bytes]], new: list[tuple[str, bytes]]) -> Iterator[bytes]:
    at = 0
    ends_open = bool(lines) and bool(lines[-1][1])  # no line end after the last line
    last = len(lines) - (0 if ends_open or not lines else 1)
    for name, line in lines[:last]:
        while name is not None and at < len(new) and new[at][0] < name:
            yield new[at][1]
            at += 1
        yield line
    yield from (line for _, line in new[at:])
    if not ends_open:
        yield b""
