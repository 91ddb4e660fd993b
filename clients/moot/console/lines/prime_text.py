"""What an agent is told first, in at most so many bytes: memories, its own work, what is ready, how to go on.

The text is a function of what it is made from: the same in, the same out. Every element is one line, whatever was
written in it, so that nothing kept by somebody can pass for a heading or for a word of ours. What there was no room
for is counted, and so is what other towns have written: that never gets in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise

MOST_BYTES: Final = 1_800
"""Bytes of the whole text: what every session of every agent begins with is paid for each time."""
_FILLED_BYTES: Final = 1_660
"""Bytes that are filled: of ordinary words so many are 450 tokens at most."""
_MEMORIES_BYTES: Final = 800
"""Bytes for memories while there is other work to tell of."""
_CLAIMED_BYTES: Final = 350
_MEMORY_BYTES: Final = 260
"""Bytes of one memory; `recall` tells the rest."""
_LOOKED_AT: Final = 4_000
"""Characters of a text that are looked at: far more than is shown, blanks apart."""
_ISSUE_BYTES: Final = 130
_LEFT_OUT_BYTES: Final = 200
"""Bytes kept free for what was left out."""
_CUT: Final = "…"
KINDS: Final = ("memories", "claimed", "ready")


class Wanted(NamedTuple):
    """Which parts are wanted, and how much of them."""

    memories: bool = True
    work: bool = True
    after_compact: bool = False
    """Only what a session that goes on needs: its own work, and where the rest is."""
    most_memories: int = 0
    """0: as many as there is room for."""
    most_memory_bytes: int = 0
    """As `most_memories`, in bytes."""


class Primed(NamedTuple):
    """The text, and what of everything stands in it."""

    text: str
    shown: Mapping[str, int]
    """How many memories, claimed and ready issues, from the first."""
    shortened: int
    """How many of them in part only."""


def prime_text(prime: Mapping[str, Any], project: str, program: str, wanted: Wanted) -> Primed:
    """What an agent is told first.

    Args:
        prime: what `Prime` answers.
        project: the project.
        program: what the program is called.
        wanted: which parts.
    """
    head = f"# Moot, project {neutralise(project)}: {'go on here' if wanted.after_compact else 'know this first'}\n"
    tail = _tail(program, wanted)
    room = _FILLED_BYTES - _size(head) - _size(tail) - _LEFT_OUT_BYTES
    parts: list[str] = []
    shown = dict.fromkeys(KINDS, 0)
    shortened = 0
    for kind, title, lines, most in _sections(prime, wanted, room):
        section = _fitting(title, lines, min(most, room))
        parts += section.lines
        room -= sum(map(_size, section.lines))
        shown[kind], shortened = section.taken, shortened + section.shortened
    text = "".join([head, *parts, tail, _left_out(prime, wanted, shown, shortened)])
    return Primed(text, shown, shortened)


def _sections(prime: Mapping[str, Any], wanted: Wanted, room: int) -> list[tuple[str, str, list[str], int]]:
    """(kind, title, lines, bytes at most) of what is wanted."""
    memories: Sequence[Mapping[str, Any]] = prime["memories"]
    if wanted.most_memories:
        memories = memories[: wanted.most_memories]
    found = []
    if wanted.memories and not wanted.after_compact:
        has_work = wanted.work and (prime["claimed"] or prime["ready"])
        most = min(wanted.most_memory_bytes or room, _MEMORIES_BYTES if has_work else room)
        found.append(("memories", "## Memories\n", list(map(_memory, memories)), most))
    if wanted.work:
        found.append(("claimed", "## Yours\n", list(map(_issue, prime["claimed"])), _CLAIMED_BYTES))
        ready = list(map(_issue, prime["ready"]))
        if wanted.after_compact:
            ready = [] if prime["claimed"] else ready[:1]
        found.append(("ready", "## Ready\n", ready, room))
    return found


def _line(text: str) -> str:
    """A text on one line; of a long one no more than is looked at."""
    return neutralise(" ".join(text[:_LOOKED_AT].split()))


def _memory(memory: Mapping[str, Any]) -> str:
    mark = " (in conflict)" if memory.get("conflict") else ""
    return _line(f"{memory['key']}{mark}: {memory['text']}")


def _issue(issue: Mapping[str, Any]) -> str:
    """An issue by as much of its id as is unique: whole ids would cost more than titles do."""
    short = issue["id"][: issue.get("_short") or None]
    handed_over = "(see handoff) " if issue.get("handoff") else ""
    return _line(f"{short} P{issue['priority']} {handed_over}{issue['title']}")


class _Section(NamedTuple):
    lines: list[str]
    taken: int
    shortened: int


def _fitting(title: str, lines: Sequence[str], most: int) -> _Section:
    """As many lines from the first as fit; nothing, not even the title, if none does."""
    longest = _MEMORY_BYTES if title.startswith("## Mem") else _ISSUE_BYTES
    taken: list[str] = []
    shortened = 0
    left = most - _size(title)
    for line in lines:
        cut = _cut(f"- {line}", longest)
        if _size(cut) + 1 > left:
            break
        left -= _size(cut) + 1
        shortened += cut != f"- {line}"
        taken.append(f"{cut}\n")
    return _Section([title, *taken] if taken else [], len(taken), shortened)


def _cut(line: str, most: int) -> str:
    """A line of at most so many bytes, cut between characters."""
    if _size(line) <= most:
        return line
    return line.encode("utf-8", "replace")[: most - _size(_CUT)].decode("utf-8", "ignore").rstrip() + _CUT


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _tail(program: str, wanted: Wanted) -> str:
    if wanted.after_compact:
        return f"`{program} show ID` tells all of an issue, `{program} prime` memories and ready work again.\n"
    if not wanted.work:
        return f"`{program} recall KEY` tells all of one, `{program} memories` lists them.\n"
    return (
        "## More\n"
        f"`{program} ready`, `{program} update ID --claim`, `{program} show ID`, `{program} close ID --reason …`,"
        f" `{program} create TITLE --deps discovered-from:ID`, `{program} recall KEY`, `{program} remember TEXT`;"
        f" `{program} help`\n"
    )


def _left_out(prime: Mapping[str, Any], wanted: Wanted, shown: Mapping[str, int], shortened: int) -> str:
    """One line on what is not here; empty if all is."""
    told = []
    missing = missing_of(prime, shown)
    if wanted.memories and not wanted.after_compact and missing["memories"]:
        told.append(_memories(missing["memories"]))
    if wanted.work:
        told += [f"{missing['claimed']} of yours"] if missing["claimed"] else []
        told += [] if wanted.after_compact else _ready_left(missing["ready"], is_all=prime["ready_total"] is not None)
    parts = [f"left out: {', '.join(told)}"] if told else []
    parts += [f"shortened: {shortened}"] if shortened else []
    foreign = prime["foreign"]
    if foreign["memories"] or foreign["issues"]:
        both = f"{_memories(foreign['memories'])}, {several(foreign['issues'], 'issue')}"
        parts.append(f"of other towns, not shown: {both}")
    return f"({'; '.join(parts)})\n" if parts else ""


def _ready_left(missing: int, *, is_all: bool) -> list[str]:
    if is_all:
        return [f"{missing} ready"] if missing else []
    return [f"{missing}+ ready"] if missing else ["more ready"]


def _memories(count: int) -> str:
    return f"{count:,} {'memory' if count == 1 else 'memories'}"


def missing_of(prime: Mapping[str, Any], shown: Mapping[str, int]) -> dict[str, int]:
    """How many memories, claimed and ready issues are not shown; of ready ones at least so many."""
    total = len(prime["ready"]) if prime["ready_total"] is None else int(prime["ready_total"])
    return {
        "memories": len(prime["memories"]) - shown["memories"],
        "claimed": len(prime["claimed"]) - shown["claimed"],
        "ready": max(total, len(prime["ready"])) - shown["ready"],
    }
