"""Requests that look over many issues travel like all others."""

import msgspec
import pytest

from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Query, Stale


def test_they_come_back_from_the_wire_as_they_went() -> None:
    sent = Stale(before=7, filter=Filter(statuses=("open",)), limit=3)
    assert msgspec.convert(msgspec.to_builtins(sent), Stale) == sent


def test_what_a_request_doesnt_know_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="tekst"):
        msgspec.convert({"text": "status=open", "tekst": ""}, Query)
