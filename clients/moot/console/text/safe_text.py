"""What came from elsewhere, made safe to print: no character of it can act on a terminal or stay unseen.

Everything that a person, a peer or an imported file has written goes through `neutralise` before it reaches a
terminal, a pipe or an agent. Its result holds printable characters and, where asked for, newlines: what would move
the cursor, colour the screen, turn the reading direction or hide among the letters is shown as an escape instead, so
that a reader sees that it was there. The result is for eyes, not for parsing: two texts may print alike. JSON has
escapes of its own and needs none of this (`documents.py`).
"""

import re
import unicodedata
from typing import Final

NEWLINE_SHOWN: Final = "\u23ce"
"""What stands for a newline where everything has to stay on one line: the return symbol."""
LONGEST: Final = 1000
"""Characters of a message that are told: a longer one echoes a huge argument, and what it says stands around that."""
_ENDING: Final = 300
"""How many of them are the end of what is shortened."""
_TAB: Final = "    "

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
"""What counts as printable but shows nothing: fillers, variation selectors, blank symbols. Unicode's property
Default_Ignorable_Code_Point without what `str.isprintable` refuses anyway, and the blanks that are not in it."""

_TEXT_OR_EMOJI: Final = "\ufe0e\ufe0f"
_ZERO_WIDTH_JOINER: Final = "\u200d"


def neutralise(text: str, *, keep_newlines: bool = False) -> str:
    """Return text with everything shown that would act or hide; total, and the same when applied again.

    Args:
        text: any string, lone surrogates included.
        keep_newlines: keep line ends (CR LF becomes LF) and widen tabs; else a newline is shown as a return symbol
            and a tab as one space, so that the result stays on one line.

    Controls are shown in caret form (ESC as `^[`), other characters as `<U+202E>`, spaces of any width as spaces.
    What selects or joins emoji (U+FE0F, U+200D) is left out beside symbols, which changes how wide they are and
    not what they say; anywhere else it is shown.
    """
    if text.isascii():
        if text.isprintable():
            return text
        return text.replace("\r\n", "\n").translate(_MANY_LINES if keep_newlines else _ONE_LINE)
    lines = text.replace("\r\n", "\n").split("\n")
    return ("\n" if keep_newlines else NEWLINE_SHOWN).join(
        [line if is_plain(line) else _neutral_line(line, keep_newlines=keep_newlines) for line in lines]
    )


def shortened(text: str) -> str:
    """The text, or one of `LONGEST` characters with the middle left out."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - _ENDING - 1]}…{text[-_ENDING:]}"


def is_plain(text: str) -> bool:
    """Whether every character of a text shows as itself: nothing for `neutralise` to do."""
    return text.isprintable() and _UNSEEN.search(text) is None


def _neutral_line(line: str, *, keep_newlines: bool) -> str:
    return "".join(
        [
            character if is_plain(character) else _shown(line, place, keep_newlines=keep_newlines)
            for place, character in enumerate(line)
        ]
    )


def _shown(line: str, place: int, *, keep_newlines: bool) -> str:
    """What stands for the character at a place of a line that can't stand for itself."""
    character = line[place]
    if character < "\x80":
        return (_MANY_LINES if keep_newlines else _ONE_LINE)[ord(character)]
    if unicodedata.category(character) == "Zs":
        return " "
    if character in _TEXT_OR_EMOJI and _is_symbol(line, place - 1):
        return ""
    if character == _ZERO_WIDTH_JOINER and _joins_symbols(line, place):
        return ""
    return f"<U+{ord(character):04X}>"


def _joins_symbols(line: str, place: int) -> bool:
    before = place - 2 if line[place - 1] in _TEXT_OR_EMOJI else place - 1
    return _is_symbol(line, before) and _is_symbol(line, place + 1)


def _is_symbol(line: str, place: int) -> bool:
    """Whether a symbol stands at a place, or the base of a keycap: what selectors and joiners have business with."""
    if not 0 <= place < len(line):
        return False
    return line[place] in "#*0123456789" or unicodedata.category(line[place]) in {"So", "Sk", "Sm"}


def _controls(newline: str, tab: str) -> dict[int, str]:
    """How the controls of ASCII are shown: in caret form, as `cat -v` and terminals do."""
    shown = {code: "^" + chr(code ^ 0x40) for code in (*range(0x20), 0x7F)}
    return shown | {ord("\n"): newline, ord("\t"): tab}


_ONE_LINE: Final = _controls(NEWLINE_SHOWN, " ")
_MANY_LINES: Final = _controls("\n", _TAB)
