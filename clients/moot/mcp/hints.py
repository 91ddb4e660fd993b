"""Hints as agents are told of them: by the names of tools, which they have, and not of commands, which they may not.

The daemon words its hints for the command line. A hint about a command that a tool stands for names the tool; one that
no tool stands for says that it is for the command line.
"""

import re
from typing import Final

_UNBLOCK: Final = "or take the dependency away: link with remove"
_SAID: Final = tuple(
    (re.compile(said), told)
    for said, told in (
        (r"see `moot ready`", "find tells what is ready"),
        (r"or (add|`moot close` with) --force", _UNBLOCK),
        (r"remove one of these dependencies first; `moot dep tree \S+` shows them",
         "take one of these dependencies away first: link with remove; show tells what an issue depends on"),
        (r"see `moot dep list (\S+)`", r"show tells what \1 depends on"),
        (r"`moot reopen (\S+)` opens it again", r"update \1 with status open opens it again"),
        (r"`moot claim (\S+)` takes it", r"claim \1 takes it"),
        (r"see `moot conflicts`", "show tells what was written"),
    )
)  # fmt: skip
"""What hints say of commands that a tool stands for, and how that is said of the tool."""
_COMMAND: Final = re.compile(r"`(?:moot|bd) [^`]*`|(?<![\w-])--\w")
_ELSEWHERE: Final = "on the command line, where you have one: "


def hint_of(hint: str) -> str:
    """A hint in the words of the tools."""
    for said, told in _SAID:
        hint = said.sub(told, hint)
    parts = hint.split("; ")
    ours = [part for part in parts if not _COMMAND.search(part)]
    if len(ours) == len(parts):
        return hint
    others = [part for part in parts if _COMMAND.search(part)]
    return "; ".join([*ours, _ELSEWHERE + others[0], *others[1:]])
