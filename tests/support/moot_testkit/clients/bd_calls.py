"""Tables of calls of `bd` as programs of Beads' world make them, with what they read from the answer.

A line is `$NAME = command => what is read`; the name keeps the answer's `id` for later lines. What is read is `[…]`
or `{…}` around the fields that the caller takes from a list's first entry or from an object, `[0]` for a list that
must be empty, or words on standard output; after a `!` the words are those of a failure.
"""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Said(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    err: str


def held(document: Any, wanted: str) -> Any:
    """The entry or the object that a caller reads; the test fails where its shape is another or a field is missing."""
    shape, fields = (list if wanted[0] == "[" else dict), set(wanted[1:-1].split())
    assert isinstance(document, shape)
    if fields == {"0"}:
        assert document == []
        return {}
    assert document
    first: Any = document[0] if isinstance(document, list) else document
    assert fields <= set(first)
    return first


def misread(lines: str, run: Callable[[Sequence[str]], Said]) -> list[str]:
    """Make the calls of a table, in its order.

    Args:
        lines: the table.
        run: runs `bd` with arguments.

    Returns:
        The calls whose answer is not what the caller reads, with what was said.
    """
    names: dict[str, str] = {}
    failed = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        call, wanted = re.split(r" =>(?: |$)", line)
        name, command = call.split(" = ", 1) if call.startswith("$") else ("", call)
        command, wanted = (re.sub(r"\$[A-Z]+\d?", lambda at: names.get(at[0], ""), part) for part in (command, wanted))
        done = run(shlex.split(command))
        try:
            if wanted.startswith("!"):
                assert done.code == 1
                assert wanted[1:] in done.err
                continue
            assert done.code == 0
            if wanted.startswith(("[", "{")):
                read = held(json.loads(done.out), wanted)
                names[name] = read.get("id") or read.get("new_epic_id")
            else:
                assert wanted in done.out
        except (AssertionError, ValueError):
            failed.append(f"bd {command} => {wanted}: [{done.code}] {done.out[:300]}{done.err[:300]}")
    return failed
