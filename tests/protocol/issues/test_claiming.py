"""What may stand beside a claim: what it sets itself, and nothing else of these."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claiming import check_beside_claim


@pytest.mark.parametrize("fields", [{}, {"priority": 0}, {"status": "in_progress", "assignee": "ada"}])
def test_what_a_claim_sets_itself_may_stand_beside_it_and_so_may_other_fields(fields: dict[str, Any]) -> None:
    check_beside_claim(fields, "ada")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "closed"}, "a claim makes it in_progress: status closed contradicts that"),
        ({"assignee": "bob"}, "a claim makes it ada's: assignee bob contradicts that"),
        ({"assignee": ""}, "a claim makes it ada's: assignee nobody contradicts that"),
    ],
)
def test_another_status_or_assignee_contradicts_it(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_beside_claim(fields, "ada")
    assert (caught.value.code, caught.value.message) == (Code.USAGE, said)
    assert caught.value.hint
