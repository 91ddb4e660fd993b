"""Which sections a description lacks."""

import pytest

from moot_protocol.issues.sections import ACCEPTANCE, STEPS, SUCCESS, missing_sections


@pytest.mark.parametrize(
    ("issue_type", "description", "criteria", "missing"),
    [
        ("bug", "", "", [STEPS, ACCEPTANCE]),
        ("bug", "### steps to reproduce\nx", "", [ACCEPTANCE]),
        ("bug", "# Acceptance criteria\nx", "", [STEPS]),
        ("task", "x", "done when it works", []),
        ("epic", "", "", [SUCCESS]),
        ("epic", "## Acceptance Criteria", "", []),
        ("chore", "", "", []),
    ],
)
def test_a_heading_counts_at_any_level_and_either_criteria_for_the_other(
    issue_type: str, description: str, criteria: str, missing: list[str]
) -> None:
    assert missing_sections(issue_type, description, criteria) == missing
