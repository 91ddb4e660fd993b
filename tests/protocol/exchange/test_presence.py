"""Presence: signed, of one plane, and nothing else than it says."""

from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.codec import decode_value, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.presence import DOMAIN, MESSAGE_TYPE, MOST_BYTES, Presence, build_presence, decode_presence
from moot_testkit.bytes.feeds import Town

TOWN = Town()
SIGNER = TOWN.replica("laptop").key
PRESENCE = Presence(1, TOWN.plane, SIGNER.public, 7, is_there=True)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_presence_is_read_as_it_was_signed(is_there: bool) -> None:
    presence = replace(PRESENCE, is_there=is_there)
    assert decode_presence(build_presence(SIGNER, presence)) == presence


def refused(data: bytes) -> str:
    with pytest.raises(MalformedError) as raised:
        decode_presence(data)
    return raised.value.code


@pytest.mark.parametrize(
    "changes", [{"plane": b"short"}, {"sender": b"short"}, {"counter": 0}, {"counter": -1}, {"version": 2}]
)
def test_one_that_can_not_be_is_refused(changes: dict[str, Any]) -> None:
    assert refused(build_presence(SIGNER, replace(PRESENCE, **changes))) in {Code.BAD_STRUCTURE, Code.BAD_VERSION}


def test_nobody_speaks_for_another_nor_for_another_moment() -> None:
    stranger = TOWN.replica("phone").key
    assert refused(build_presence(stranger, PRESENCE)) == Code.BAD_SIGNATURE
    parts: Any = decode_value(build_presence(SIGNER, PRESENCE))
    later = encode(replace(PRESENCE, counter=8))
    assert refused(encode([*parts[:2], later, parts[3]])) == Code.BAD_SIGNATURE
    assert refused(encode([1, MESSAGE_TYPE - 1, *parts[2:]])) == Code.BAD_STRUCTURE


def test_what_is_longer_than_any_is_not_even_looked_at() -> None:
    assert refused(build_presence(SIGNER, PRESENCE) + bytes(MOST_BYTES)) == Code.TOO_LARGE
    assert len(build_presence(SIGNER, replace(PRESENCE, counter=2**63))) < MOST_BYTES


def test_its_signature_is_none_of_anything_else() -> None:
    assert DOMAIN == b"moot/presence/1\0"
