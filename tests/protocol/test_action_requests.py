"""Requests about graphs and further changes travel like all others."""

import msgspec
import pytest

from moot_protocol.action_requests import ACTION_REQUESTS, Graph, SetState
from moot_protocol.methods import REQUESTS


def test_each_is_among_the_requests_that_the_daemon_knows() -> None:
    assert all(REQUESTS[request.method] is request for request in ACTION_REQUESTS)


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = SetState(actor="ada", id="bd-1", dimension="mode", value="bad", dry_run=True)
    assert msgspec.convert(msgspec.to_builtins(sent), SetState) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="skope"):
        msgspec.convert({"id": "bd-1", "skope": "open"}, Graph)
