"""Sections of ours in files of others: found by two marker lines, put in, brought up to date, taken out.

Invariant: nothing outside of the two lines changes but for one blank line between what was there and the section.
"""

from typing import NamedTuple

from moot_protocol.errors import Code, RefusedError


class Marks(NamedTuple):
    """The lines around a section."""

    begin: str
    end: str


def section_of(text: str, marks: Marks) -> str | None:
    """The section with its markers, or None.

    Raises:
        RefusedError: `conflict`: a marker stands alone, or there are several.
    """
    lines = text.splitlines()
    begins = [number for number, line in enumerate(lines) if line.strip() == marks.begin]
    ends = [number for number, line in enumerate(lines) if line.strip() == marks.end]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise RefusedError(
            f"the lines {marks.begin} and {marks.end} don't stand once each, one after the other",
            code=Code.CONFLICT,
            hint="mend that by hand first",
        )
    return "".join(text.splitlines(keepends=True)[begins[0] : ends[0] + 1])


def made(body: str, marks: Marks) -> str:
    """A section, from what is to stand in it."""
    return f"{marks.begin}\n{body.strip(chr(10))}\n{marks.end}\n"


def with_section(text: str, body: str, marks: Marks, *, after_first_line: bool = False) -> str:
    """A text with the section in it: in the place of the old one, else at the end, or after the first line."""
    old, new = section_of(text, marks), made(body, marks)
    if old is not None:
        return text.replace(old, new, 1)
    if after_first_line:
        first, newline, rest = text.partition("\n")
        return f"{first}{newline or chr(10)}{new}{rest}"
    if not text.strip():
        return new
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{new}"


def without_section(text: str, marks: Marks) -> str:
    """A text without the section, and without the blank line that was put before it."""
    old = section_of(text, marks)
    if old is None:
        return text
    before, _, after = text.partition(old)
    return (before.removesuffix("\n") if before.endswith("\n\n") else before) + after
