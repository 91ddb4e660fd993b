"""The recovery words of a town that has just been made: shown to a person at a terminal, else laid in a file.

Invariant: they never go into output that a program reads, be it JSON, a pipe or an agent's context; and they are never
lost: where no file can be written they are told on standard error.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moot.console.command import Context
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import RefusedError

FIELD: Final = "recovery_words"
FILE_FIELD: Final = "recovery_words_file"
"""What a document has in the words' place: the file that holds them."""
SHOWN_ONCE: Final = "Recovery words of your town. They are shown this once and kept nowhere:"
_LAID_HERE: Final = "Recovery words of your town. Nothing else keeps them; delete this file once they are on paper:"
_WORDS_A_LINE: Final = 6
_TOWN_CHARS: Final = 8
"""Characters of the town's key in the file's name, so that two towns' words don't meet."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")
_MODE: Final = 0o600


def hand_over(context: Context, made: Mapping[str, Any]) -> dict[str, str]:
    """Give the words of a town to the user, once.

    Args:
        context: the command's.
        made: what the daemon answered; without words in it nothing happens.

    Returns:
        What a document says of it: `{"recovery_words_file": path}`, or nothing.
    """
    words = str(made.get(FIELD) or "")
    if not words:
        return {}
    facts, given = context.terminal.facts, context.arguments
    if facts.out_is_terminal and not (context.json or given.quiet):
        context.terminal.out(_text(words, SHOWN_ONCE))
        return {}
    path = file_of(facts.environment, str(made.get("town", "")))
    try:
        _write(context, path, words)
    except RefusedError as error:
        told = f"{neutralise(path)} can't be written: {neutralise(error.message)}\n"
        context.terminal.err(told + _text(words, SHOWN_ONCE))
        return {}
    context.terminal.err(f"Recovery words of your town: {neutralise(path)}; write them on paper, delete the file\n")
    return {FILE_FIELD: path}


def without_words(made: Mapping[str, Any]) -> dict[str, Any]:
    """A document of the daemon's without the words in it."""
    return {name: value for name, value in made.items() if name != FIELD}


def file_of(environment: Mapping[str, str], town: str) -> str:
    """Where the words of a town are laid: in the user's configuration folder."""
    config = environment.get("XDG_CONFIG_HOME") or posixpath.join(environment.get("HOME", ""), ".config")
    name = _UNFIT.sub("", town)[:_TOWN_CHARS]
    return posixpath.join(config, "moot", f"recovery-words-{name}.txt")


def _write(context: Context, path: str, words: str) -> None:
    if not posixpath.isabs(path):
        raise RefusedError("no home folder is known")
    context.terminal.write_file(path, [_text(words, _LAID_HERE).encode()], mode=_MODE, exclusive=True)


def _text(words: str, heading: str) -> str:
    return "".join(f"{line}\n" for line in _lines(words, heading))


def _lines(words: str, heading: str) -> Iterator[str]:
    split = neutralise(words).split()
    yield heading
    yield ""
    for start in range(0, len(split), _WORDS_A_LINE):
        yield f"    {' '.join(split[start : start + _WORDS_A_LINE])}"
    yield ""
    yield "Write them on paper. Whoever has them can replace your town's key; without them nobody can."
    yield ""
