"""Every request that a daemon takes, by its method's name: the one list over the modules that define them."""

from typing import Any, Final

from moot_protocol.access_requests import ACCESS_REQUESTS
from moot_protocol.action_requests import ACTION_REQUESTS
from moot_protocol.audit_requests import AUDIT_REQUESTS
from moot_protocol.claim_requests import CLAIM_REQUESTS
from moot_protocol.document_requests import DOCUMENT_REQUESTS
from moot_protocol.exchange_requests import EXCHANGE_REQUESTS
from moot_protocol.federation_requests import FEDERATION_REQUESTS
from moot_protocol.gate_requests import GATE_REQUESTS
from moot_protocol.lease_requests import LEASE_REQUESTS
from moot_protocol.machine_requests import MACHINE_REQUESTS
from moot_protocol.mail_requests import MAIL_REQUESTS
from moot_protocol.membership_requests import MEMBERSHIP_REQUESTS
from moot_protocol.memory_requests import MEMORY_REQUESTS
from moot_protocol.mirror_requests import MIRROR_REQUESTS
from moot_protocol.molecule_requests import MOLECULE_REQUESTS
from moot_protocol.query_requests import QUERY_REQUESTS
from moot_protocol.request_base import Request
from moot_protocol.requests import ISSUE_REQUESTS
from moot_protocol.share_requests import SHARE_REQUESTS
from moot_protocol.spool_requests import SPOOL_REQUESTS
from moot_protocol.transfer_requests import TRANSFER_REQUESTS

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
