from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import encode
from moot_protocol.crypto import is_signed
from moot_protocol.errors import Code, MalformedError
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.certificate import CertificateBody, build_certificate, decode_certificate
from moot_testkit.bytes.feeds import seed, signer
from moot_testkit.bytes.strategies import damaged, values

TOWN, REPLICA = signer("town"), signer("replica").public
PLANE, HPKE = bytes(range(16)), seed("hpke")
BODY = CertificateBody(1, PLANE, TOWN.public, REPLICA, HPKE, Role.WRITER)
CERTIFICATE = build_certificate(BODY, TOWN)


def test_a_certificate_says_what_was_certified_and_by_whom() -> None:
    certificate = decode_certificate(CERTIFICATE)
    assert certificate.body == BODY
    assert certificate.signer == TOWN.public


def test_its_bytes_are_a_signed_array_in_the_documented_order() -> None:
    body = encode([1, PLANE, TOWN.public, REPLICA, HPKE, "writer"])
    assert CERTIFICATE[0] == body
    assert is_signed(TOWN.public, CERTIFICATE[1], b"moot/cert/1\0" + body)


def test_another_key_may_sign_for_the_town() -> None:
    invite = signer("invite")
    assert decode_certificate(build_certificate(BODY, invite)).signer == invite.public


def signed(**changes: Any) -> list[bytes]:
    body = encode(msgspec.structs.replace(BODY, **changes))
    return [body, TOWN.sign(b"moot/cert/1\0" + body), TOWN.public]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Code.BAD_STRUCTURE),
        (CERTIFICATE[:2], Code.BAD_STRUCTURE),
        ([*CERTIFICATE, b""], Code.BAD_STRUCTURE),
        ([CERTIFICATE[0], CERTIFICATE[1], "signer"], Code.BAD_STRUCTURE),
        ([b"\xc1", *CERTIFICATE[1:]], Code.BAD_STRUCTURE),
        ([b"\xdc\x00\x06" + CERTIFICATE[0][1:], *CERTIFICATE[1:]], Code.NOT_CANONICAL),
        (signed(version=2), Code.BAD_VERSION),
        (signed(plane=PLANE[1:]), Code.BAD_STRUCTURE),
        (signed(subject=bytes(32)), Code.BAD_KEY),
        (signed(subject=TOWN.public), Code.BAD_KEY),
        (signed(town=bytes(32)), Code.BAD_KEY),
        (signed(hpke_key=HPKE[1:]), Code.BAD_KEY),
        ([CERTIFICATE[0], CERTIFICATE[1], bytes(32)], Code.BAD_KEY),
        ([CERTIFICATE[0], CERTIFICATE[1], signer("another").public], Code.BAD_SIGNATURE),
        ([CERTIFICATE[0], CERTIFICATE[1][1:], TOWN.public], Code.BAD_SIGNATURE),
        ([CERTIFICATE[0], bytes(64), TOWN.public], Code.BAD_SIGNATURE),
    ],
)
def test_what_is_no_certificate_is_refused_with_a_code(value: Any, code: Code) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_certificate(value)
    assert caught.value.code is code


def test_a_certificate_that_would_not_decode_is_not_built() -> None:
    with pytest.raises(MalformedError):
        build_certificate(msgspec.structs.replace(BODY, subject=bytes(32)), TOWN)


@given(values | st.lists(st.binary(max_size=100), max_size=4))
def test_any_value_gives_a_certificate_or_a_typed_error(value: Any) -> None:
    with pytest.raises(MalformedError):
        decode_certificate(value)


@given(st.data())
def test_a_changed_certificate_is_never_taken_for_the_town_s(data: st.DataObject) -> None:
    body, signature, by = CERTIFICATE
    changed = [data.draw(damaged(part, body) | st.just(part)) for part in (body, signature, by)]
    if changed != CERTIFICATE:
        with pytest.raises(MalformedError):
            decode_certificate(changed)
