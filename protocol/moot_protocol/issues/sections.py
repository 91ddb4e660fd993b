"""Which sections the description of an issue should have, by the issue's type, and which of them one lacks."""

from collections.abc import Mapping
from typing import Final

STEPS: Final = "## Steps to Reproduce"
ACCEPTANCE: Final = "## Acceptance Criteria"
SUCCESS: Final = "## Success Criteria"
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "bug": (STEPS, ACCEPTANCE),
    "task": (ACCEPTANCE,),
    "feature": (ACCEPTANCE,),
    "epic": (SUCCESS,),
}
"""Type → the sections that its issues should have. The field of acceptance criteria counts for either criteria."""


def missing_sections(issue_type: str, description: str, acceptance_criteria: str) -> list[str]:
    """The headings of the sections that are not there.

    Args:
        issue_type: the issue's type.
        description: its description; the level of a heading in it doesn't matter, nor does the size of letters.
        acceptance_criteria: its field of that name.
    """
    told = description.lower()
    has_criteria = bool(acceptance_criteria) or _has(told, ACCEPTANCE)
    return [
        heading
        for heading in SECTIONS.get(issue_type, ())
        if not (_has(told, heading) or (heading != STEPS and has_criteria))
    ]


def _has(told: str, heading: str) -> bool:
    return heading.lstrip("# ").lower() in told
