"""Every request that a daemon takes, by its method's name: the one list over the modules that define them."""

from typing import Any, Final

from moot_protocol.exchange_requests import EXCHANGE_REQUESTS
from moot_protocol.request_base import Request
from moot_protocol.requests import ISSUE_REQUESTS

REQUESTS: Final[dict[str, type[Request[Any]]]] = {
    request.method: request for request in (*ISSUE_REQUESTS, *EXCHANGE_REQUESTS)
}
"""Method's name -> request."""
