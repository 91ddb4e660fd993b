"""Every request that a daemon takes, by its method's name: the one list over the modules that define them."""

from typing import Any, Final

from moot_protocol.requests.access import ACCESS_REQUESTS
from moot_protocol.requests.actions import ACTION_REQUESTS
from moot_protocol.requests.audit import AUDIT_REQUESTS
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import CLAIM_REQUESTS
from moot_protocol.requests.documents import DOCUMENT_REQUESTS
from moot_protocol.requests.exchange import EXCHANGE_REQUESTS
from moot_protocol.requests.federation import FEDERATION_REQUESTS
from moot_protocol.requests.gates import GATE_REQUESTS
from moot_protocol.requests.issues import ISSUE_REQUESTS
from moot_protocol.requests.leases import LEASE_REQUESTS
from moot_protocol.requests.machine import MACHINE_REQUESTS
from moot_protocol.requests.mail import MAIL_REQUESTS
from moot_protocol.requests.membership import MEMBERSHIP_REQUESTS
from moot_protocol.requests.memories import MEMORY_REQUESTS
from moot_protocol.requests.mirrors import MIRROR_REQUESTS
from moot_protocol.requests.molecules import MOLECULE_REQUESTS
from moot_protocol.requests.queries import QUERY_REQUESTS
from moot_protocol.requests.shares import SHARE_REQUESTS
from moot_protocol.requests.spools import SPOOL_REQUESTS
from moot_protocol.requests.transfer import TRANSFER_REQUESTS

REQUESTS: Final[dict[str, type[Request[Any]]]] = {
    request.method: request
    for request in (
        *ISSUE_REQUESTS,
        *TRANSFER_REQUESTS,
        *MACHINE_REQUESTS,
        *EXCHANGE_REQUESTS,
        *MEMBERSHIP_REQUESTS,
        *QUERY_REQUESTS,
        *ACTION_REQUESTS,
        *CLAIM_REQUESTS,
        *DOCUMENT_REQUESTS,
        *MOLECULE_REQUESTS,
        *GATE_REQUESTS,
        *MEMORY_REQUESTS,
        *MIRROR_REQUESTS,
        *SHARE_REQUESTS,
        *MAIL_REQUESTS,
        *FEDERATION_REQUESTS,
        *SPOOL_REQUESTS,
        *ACCESS_REQUESTS,
        *AUDIT_REQUESTS,
        *LEASE_REQUESTS,
    )
}
"""Method's name -> request."""
