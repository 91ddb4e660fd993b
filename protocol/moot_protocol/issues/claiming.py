"""What may be asked for beside a claim: the daemon's rule, and so also what a spool can say before the daemon is asked.

Invariant: it follows from the request alone, whatever is known of the issue.
"""

from collections.abc import Mapping
from typing import Any

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS


def check_beside_claim(fields: Mapping[str, Any], actor: str) -> None:
    """Refuse a status and an assignee that say something else than the claim they stand beside.

    Args:
        fields: the fields that are given, by name.
        actor: who claims.

    Raises:
        RefusedError: `usage`.
    """
    if fields.get("status", IN_PROGRESS) != IN_PROGRESS:
        raise RefusedError(
            f"a claim makes it {IN_PROGRESS}: status {fields['status']} contradicts that",
            code=Code.USAGE,
            hint="claim it, then change its status; or leave one of them out",
        )
    if fields.get("assignee", actor) != actor:
        raise RefusedError(
            f"a claim makes it {actor}'s: assignee {fields['assignee'] or 'nobody'} contradicts that",
            code=Code.USAGE,
            hint="leave out the claim or the assignee; --actor says who claims",
        )
