"""Precedence of semantic versions (semver.org, 2.0.0, section 11), as keys that Python compares.

Build metadata has no precedence: versions that differ in nothing else have equal keys.
"""

import re
from typing import Final, TypeAlias

from moot_protocol.limits import VERSION_CHARS

_NUMBER: Final = r"(0|[1-9]\d{0,18})"
_IDENTIFIER: Final = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)

Precedence: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""Major, minor, patch, is a release, pre-release identifiers as (is text, number, text)."""
UNVERSIONED: Final[Precedence] = (-1, 0, 0, False, ())
"""Below every version: where that of something is none."""


def precedence(version: str) -> Precedence | None:
    """The precedence of a version as a comparable key, or None where it is no semantic version."""
    match = _VERSION.fullmatch(version) if len(version) <= VERSION_CHARS else None
    if match is None:
        return None
    major, minor, patch, before = match.groups()
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (before.split(".") if before else ())
    )
    return (int(major), int(minor), int(patch), before is None, identifiers)
