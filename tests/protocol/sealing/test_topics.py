"""Names on remotes say nothing to who hasn't the topic key."""

import hmac
from collections.abc import Callable

import pytest

from moot_protocol.sealing.topics import charter_key, sender_of, topic_of
from moot_testkit.bytes.feeds import seed

KEY, PLANE, AUTHOR = seed("topic key"), seed("plane")[:16], seed("author")


def test_names_are_keyed_hashes_of_what_they_name() -> None:
    assert topic_of(KEY, PLANE) == hmac.digest(KEY, b"moot/topic/1\0" + PLANE, "sha256")[:16]
    assert sender_of(KEY, AUTHOR) == hmac.digest(KEY, b"moot/sender/1\0" + AUTHOR, "sha256")[:16]


@pytest.mark.parametrize("name", [topic_of, sender_of])
def test_another_key_or_another_thing_has_another_name(name: Callable[[bytes, bytes], bytes]) -> None:
    names = {name(key, thing) for key in (KEY, seed("other")) for thing in (PLANE, AUTHOR)}
    assert len(names) == 4
    assert {len(each) for each in names} == {16}


def test_a_topic_is_never_a_sender_s_name() -> None:
    assert topic_of(KEY, PLANE) != sender_of(KEY, PLANE)


def test_charters_have_a_key_of_their_own_on_each_plane() -> None:
    assert charter_key(KEY, PLANE) == hmac.digest(KEY, b"moot/charter-key/1\0" + PLANE, "sha256")
    assert len({charter_key(KEY, PLANE), charter_key(KEY, AUTHOR[:16]), charter_key(seed("other"), PLANE), KEY}) == 4


def test_a_key_of_another_length_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        topic_of(KEY[1:], PLANE)
