"""A plane's secrets: an epoch is learned by whoever it is wrapped for, with all before it, and kept for good."""

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from moot_protocol.errors import Code, RefusedError
from moot_protocol.sealing.epoch import WRAP_DOMAIN, EpochValue, build_epoch, epoch_from_value
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.sealing.hpke import HPKE
from moot_protocol.sealing.topics import sender_of, topic_of
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.town import Member
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.state import REPLICA_KEY

PLANE = seed("plane")[:16]
FIRST, SECOND, THIRD = seed("first"), seed("second"), seed("third")


def member(name: str = "member") -> Member:
    return Member(name, 3)


def keys_of(holder: Member, plane: bytes = PLANE) -> PlaneKeys:
    return PlaneKeys(holder.keys, plane)


def epoch(key: bytes, *recipients: Member, before: Sequence[bytes] = (), plane: bytes = PLANE) -> EpochValue:
    wrapped = {each.id: each.keys.hpke_public(REPLICA_KEY) for each in recipients}
    value = epoch_from_value(build_epoch(plane, key, wrapped, before))
    assert value is not None
    return value


def learn(holder: Member, key: bytes, value: EpochValue) -> bool:
    return keys_of(holder).learn(epoch_id(key), value, holder.id)


# -- Names -------------------------------------------------------------------------------------------------------
def test_names_on_remotes_are_made_with_the_topic_key() -> None:
    holder = member()
    keys = keys_of(holder)
    assert not keys.has_topic
    with pytest.raises(RefusedError) as raised:
        _ = keys.topic
    assert raised.value.code is Code.NOT_FOUND
    keys.keep_topic_key(FIRST)
    assert keys_of(holder).has_topic
    assert keys.topic_key == FIRST
    assert keys.topic == topic_of(FIRST, PLANE)
    assert keys.sender(holder.id) == sender_of(FIRST, holder.id)
    assert not keys_of(holder, seed("other")[:16]).has_topic


def test_a_topic_key_is_kept_once() -> None:
    keys = keys_of(member())
    keys.keep_topic_key(FIRST)
    keys.keep_topic_key(FIRST)
    with pytest.raises(RefusedError) as raised:
        keys.keep_topic_key(SECOND)
    assert raised.value.code is Code.EXISTS
    assert keys.topic_key == FIRST


# -- Epochs ------------------------------------------------------------------------------------------------------
def test_a_key_that_is_kept_is_known_to_whoever_asks_later() -> None:
    holder = member()
    assert keys_of(holder).keep(FIRST) == epoch_id(FIRST)
    assert keys_of(holder).key_of(epoch_id(FIRST)) == FIRST
    assert keys_of(holder).sealing_key(epoch_id(FIRST)) == FIRST
    assert keys_of(holder, seed("other")[:16]).key_of(epoch_id(FIRST)) is None


def test_without_the_epoch_s_key_nothing_is_sealed() -> None:
    keys = keys_of(member())
    keys.keep(FIRST)
    with pytest.raises(RefusedError) as raised:
        keys.sealing_key(epoch_id(SECOND))
    assert raised.value.code is Code.NOT_READY
    assert raised.value.retryable


def test_an_epoch_is_learned_by_its_wrap() -> None:
    holder, other = member(), member("other")
    value = epoch(FIRST, holder, other)
    assert learn(holder, FIRST, value)
    assert keys_of(holder).key_of(epoch_id(FIRST)) == FIRST
    assert keys_of(other).key_of(epoch_id(FIRST)) is None


def test_an_epoch_for_others_is_not_learned() -> None:
    holder = member()
    assert not learn(holder, FIRST, epoch(FIRST, member("other")))
    assert keys_of(holder).key_of(epoch_id(FIRST)) is None


def test_with_an_epoch_come_those_whose_place_it_took() -> None:
    holder = member()
    assert learn(holder, THIRD, epoch(THIRD, holder, before=[FIRST, SECOND]))
    assert [keys_of(holder).key_of(epoch_id(key)) for key in (FIRST, SECOND, THIRD)] == [FIRST, SECOND, THIRD]


def test_a_key_that_came_with_a_ticket_opens_the_epochs_before_it() -> None:
    holder, other = member(), member("other")
    keys_of(holder).keep(THIRD)
    chain = [(THIRD, epoch(THIRD, other, before=[SECOND])), (SECOND, epoch(SECOND, other, before=[FIRST]))]
    assert all(learn(holder, key, value) for key, value in chain)
    assert keys_of(holder).key_of(epoch_id(FIRST)) == FIRST


def test_a_wrap_that_can_not_be_opened_is_not_learned() -> None:
    holder = member()
    value = epoch(FIRST, holder)
    for wrap in (bytes(80), value.wraps[holder.id][:-1] + b"\0"):
        assert not learn(holder, FIRST, value._replace(wraps={holder.id: wrap}))
    assert not learn(holder, FIRST, epoch(FIRST, holder, plane=seed("other")[:16]))
    assert keys_of(holder).key_of(epoch_id(FIRST)) is None


def test_a_wrap_of_another_epoch_s_key_is_not_learned() -> None:
    holder = member()
    public = X25519PublicKey.from_public_bytes(holder.keys.hpke_public(REPLICA_KEY))
    forged = HPKE.encrypt(FIRST, public, WRAP_DOMAIN + PLANE + epoch_id(SECOND))
    for value in (epoch(FIRST, holder), EpochValue(b"", {holder.id: forged})):
        assert not keys_of(holder).learn(epoch_id(SECOND), value, holder.id)
    assert keys_of(holder).key_of(epoch_id(FIRST)) is None
    assert keys_of(holder).key_of(epoch_id(SECOND)) is None


def test_predecessors_that_can_not_be_opened_keep_nobody_from_the_key() -> None:
    holder = member()
    value = epoch(SECOND, holder, before=[FIRST])
    assert learn(holder, SECOND, value._replace(sealed=bytes(len(value.sealed))))
    assert keys_of(holder).key_of(epoch_id(SECOND)) == SECOND
    assert keys_of(holder).key_of(epoch_id(FIRST)) is None
    assert learn(holder, SECOND, value)
    assert keys_of(holder).key_of(epoch_id(FIRST)) == FIRST
