"""Precedence of semantic versions (semver.org, 2.0.0, section 11), as keys that Python compares.

Build metadata has no precedence: versions that differ in nothing else have equal keys.
"""

import re
from typing import Final, TypeAlias

_NUMBER: Final = r"(0|[1-9]\d{0,18})"
_IDENTIFIER: Final = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_LONGEST: Final = 255
"""Characters of a version that is still read: bounds the work on numbers someone else chose."""

Precedence: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]
"""Major, minor, patch, is a release, pre-release identifiers as (is text, number, text)."""


def precedence(version: str) -> Precedence | None:
    """The precedence of a version as a comparable key, or None where it is no semantic version."""
    match = _VERSION.fullmatch(version) if len(version) <= _LONGEST else None
    if match is None:
        return None
    major, minor, patch, before = match.groups()
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (before.split(".") if before else ())
    )
    return (int(major), int(minor), int(patch), before is None, identifiers)
