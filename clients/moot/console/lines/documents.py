"""Roles, formulas and templates as lines: where each comes from, and what would change.

Invariant: the text of another town never stands without its origin, and as long as nobody here has adopted it every
line of it is marked, so that whoever reads the output, a person or an agent, can't take it for this town's word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console.lines.exchange import KEY_SHOWN, facts, table
from moot.console.lines.issues import origin_room
from moot.console.text import when
from moot.console.text.safe_text import neutralise
from moot.console.text.style import CYAN, GREEN, RED, Style
from moot.console.text.table import cut, width_of

DIFF_LINES: Final = 60
"""Lines of a diff that stand among others; `--json` has all of it."""
_QUOTE: Final = "> "
_OWN: Final = " (this town)"
_COLOURS: Final = {"+": GREEN, "-": RED, "@": CYAN}

Document = Mapping[str, Any]


def text_of(document: Document, field: str) -> str:
    """A field as safe text on one line; empty where it is absent."""
    value = document.get(field)
    return "" if value is None else neutralise(str(value))


def standing_words(document: Document) -> str:
    """Whose word a document is, in words."""
    return text_of(document, "standing").replace("_", " ")


def town_words(document: Document) -> str:
    """The town that wrote something: its name and the beginning of its key."""
    key = text_of(document, "town")[:KEY_SHOWN]
    if not key:
        return "no town that is known"
    named = " ".join(filter(None, (text_of(document, "town_name"), key)))
    if not document.get("is_own"):
        return named
    # A machine that joined a town's plane and founded one itself speaks for another town on each.
    return f"{named}{_OWN}" if document.get("is_home", True) else f"{named} (this machine's town there)"


def _town_cell(style: Style, document: Document) -> str:
    """The same for a table: at a terminal a long name, which anybody can give themselves, gives way, and no key."""
    words, room = town_words(document), origin_room(style)
    if room is None or width_of(words) <= room:
        return words
    name, key = text_of(document, "town_name"), text_of(document, "town")[:KEY_SHOWN]
    if document.get("is_own"):  # its key tells nobody anything here
        return f"{cut(name or key, room - len(_OWN))}{_OWN}" if document.get("is_home", True) else cut(words, room)
    return " ".join(filter(None, (cut(name, room - len(key) - 1), key)))


def age_of(document: Document, now_ms: int) -> str:
    """How long ago something was written."""
    moment = when.instant(document.get("at"))
    return "" if moment is None else when.age(moment, now_ms)


# -- Lists -------------------------------------------------------------------------------------------------------
def list_rows(style: Style, documents: Sequence[Document], now_ms: int) -> list[str]:
    """A line for each document; the plane is told where they are of several."""
    several = len({document.get("plane") for document in documents}) > 1
    return table(style, [_cells(style, document, now_ms, several=several) for document in documents])


def _cells(style: Style, document: Document, now_ms: int, *, several: bool) -> list[str]:
    state = standing_words(document)
    if document.get("in_conflict"):
        state = f"{state}, {style.alarm('in conflict')}"
    origin = (
        [_town_cell(style, document), text_of(document, "actor"), age_of(document, now_ms)]
        if "town" in document
        else []
    )
    return [
        style.heading(text_of(document, "id")),
        text_of(document, "version"),
        state,
        text_of(document, "plane") if several else "",
        *(origin or ["", "", ""]),
        text_of(document, "title"),
    ]


def history_rows(style: Style, versions: Iterable[Document], now_ms: int) -> list[str]:
    """A line for each version: when, which, whether it is shown, whose word it is, and who wrote it."""
    rows = []
    for version in versions:
        moment = when.instant(version.get("at"))
        rows.append(
            [
                style.faint("unknown" if moment is None else when.short_date(moment)),
                style.faint(age_of(version, now_ms)) if style.terminal else "",
                text_of(version, "version") or text_of(version, "content")[:KEY_SHOWN],
                text_of(version, "state"),
                standing_words(version),
                town_words(version),
                f"replica {text_of(version, 'replica')[:KEY_SHOWN]}",
                text_of(version, "actor"),
            ]
        )
    return table(style, rows)


# -- One document ------------------------------------------------------------------------------------------------
def head_lines(style: Style, document: Document, now_ms: int) -> list[str]:
    """Where a document comes from and whose word it is."""
    title = " ".join(filter(None, (style.heading(text_of(document, "id")), text_of(document, "version"))))
    words = text_of(document, "title")
    return [f"{title} — {words}" if words else title, *facts(style, list(_facts(document, now_ms)))]


def _facts(document: Document, now_ms: int) -> Iterator[tuple[str, str]]:
    yield "plane", text_of(document, "plane")
    yield "town", town_words(document)
    yield "replica", text_of(document, "replica")
    yield "written", ", ".join(filter(None, (f"by {text_of(document, 'actor')}", age_of(document, now_ms))))
    yield "standing", standing_words(document)
    adopted = document.get("adopted")
    if adopted:
        moment = age_of(adopted, now_ms)
        yield "adopted", f"{text_of(adopted, 'content')[:KEY_SHOWN]} by {text_of(adopted, 'actor')}, {moment}"
    if document.get("in_conflict"):
        yield "conflict", "others wrote it differently: see `moot conflicts`"
    if document.get("problem"):
        yield "problem", text_of(document, "problem")


def running_lines(style: Style, document: Document) -> list[str]:
    """What a role lets a shell run."""
    told = []
    for field, heading in (
        ("commands", "commands that it gives an agent to run"),
        ("hooks", "hooks that a shell runs"),
    ):
        named = document.get(field) or {}
        if named:
            told.append(style.alarm(f"{heading}:"))
            told += [f"  {neutralise(name)}: {neutralise(command)}" for name, command in named.items()]
    return told


def text_lines(document: Document) -> list[str]:
    """A document's text; every line marked where it is not this town's word."""
    text = document.get("text")
    if text is None:
        return ["(its text isn't here)"]
    lines = neutralise(text, keep_newlines=True).removesuffix("\n").split("\n")
    is_foreign = document.get("standing") not in {"own", "adopted"}
    return [f"{_QUOTE}{line}".rstrip() for line in lines] if is_foreign else lines


# -- Differences -------------------------------------------------------------------------------------------------
def diff_lines(style: Style, diff: str, most: int = 0) -> list[str]:
    """The lines of a unified diff, safe and in colours.

    Args:
        style: how to write.
        diff: the diff.
        most: how many lines to show; 0 for all.
    """
    lines = diff.removesuffix("\n").split("\n") if diff else []
    shown = lines[:most] if most else lines
    told = [style.paint(neutralise(line), _COLOURS.get(line[:1], "")) for line in shown]
    left = len(lines) - len(shown)
    return [*told, style.faint(f"… {left} more lines; --json has all of it")] if left else told


OR_NAME: Final = ", or by its name, which never moves"
"""What a value of a conflict is chosen by, beside its number."""


def conflict_lines(style: Style, conflicts: Iterable[Document], now_ms: int, program: str) -> list[str]:
    """For each document its values, numbered as `resolve --pick` takes them, each with what choosing it changes."""
    told: list[str] = []
    for conflict in conflicts:
        name, field = style.heading(text_of(conflict, "id")), style.alarm(text_of(conflict, "field"))
        shows = "what was agreed last" if conflict.get("kind") == "role" else "the latest"
        nothing = conflict.get("shown") is None
        told.append(f"  {name} {field} on plane {text_of(conflict, 'plane')} shows {'nothing' if nothing else shows}")
        for number, value in enumerate(conflict["values"], start=1):
            name = f" {text_of(value, 'name')}" if value.get("name") else ""
            told.append(f"    {number}. {_value_words(style, value, now_ms)}{name}")
            told += [f"       {line}" for line in _changes(style, value)]
    if told:
        told.append(style.faint(f"  settle one with `{program} resolve KIND/NAME document --pick NUMBER`{OR_NAME}"))
    return told


def _value_words(style: Style, value: Document, now_ms: int) -> str:
    who = ", ".join(filter(None, (text_of(value, "actor"), f"town {town_words(value)}", age_of(value, now_ms))))
    return " ".join(filter(None, (text_of(value, "version"), style.faint(f"({who})"))))


def _changes(style: Style, value: Document) -> list[str]:
    if value.get("value") is None:
        return ["(its text isn't here)"]
    return diff_lines(style, value.get("diff") or "", DIFF_LINES) or ["changes nothing: it is what is shown"]
