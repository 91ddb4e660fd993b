"""Names of MQTT topics, read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_testkit.live import ALICE, BATCHES, TOPIC
from mootd.edges.mqtt.names import Name, filters, read, written
from mootd.remotes import Channel

GOOD = f"moot/1/{TOPIC.hex()}/{ALICE.hex()}/batches"


def test_a_name_says_topic_sender_and_channel() -> None:
    assert written(Name(TOPIC, ALICE, BATCHES)) == GOOD
    assert GOOD == "moot/1/000102030405060708090a0b0c0d0e0f/61616161616161616161616161616161/batches"


@given(
    topic=st.binary(min_size=16, max_size=16),
    sender=st.binary(min_size=16, max_size=16),
    channel=st.sampled_from(list(Channel)),
)
def test_what_was_written_is_read(topic: bytes, sender: bytes, channel: Channel) -> None:
    assert read(written(Name(topic, sender, channel))) == Name(topic, sender, channel)


@pytest.mark.parametrize(
    "text",
    [
        "", "moot", GOOD.upper(), GOOD.replace("0a", "0A"), GOOD + "\n", GOOD + "/", "/" + GOOD, GOOD + "/more",
        GOOD.replace("moot/1", "moot/2"), GOOD.replace("batches", "secrets"), GOOD.replace("/61", "/6"),
        GOOD.replace("/61", "/6161"), GOOD.replace("/61", "/+1"), GOOD.replace("/61", "/٣1"),
        f"moot/1/+/{'0' * 32}/want",
        GOOD.replace("/", "\\"), "moot/1/" + "0" * 64 + "/batches", "$SYS/broker/uptime",
    ],
)  # fmt: skip
def test_anything_else_is_no_name(text: str) -> None:
    assert read(text) is None


@given(text=st.text())
def test_a_text_is_a_name_only_as_it_would_be_written(text: str) -> None:
    name = read(text)
    assert name is None or written(name) == text


def test_filters_cover_every_channel_of_the_topics_and_nothing_else() -> None:
    assert filters([TOPIC]) == [
        (f"moot/1/{TOPIC.hex()}/+/{channel}", channel) for channel in ("batches", "frontier", "want", "presence")
    ]
    assert filters([]) == []


@pytest.mark.parametrize(("topic", "sender"), [(TOPIC, b"short"), (b"short", ALICE)], ids=["sender", "topic"])
def test_a_name_of_another_length_is_not_written(topic: bytes, sender: bytes) -> None:
    with pytest.raises(ValueError, match="5"):
        written(Name(topic, sender, BATCHES))
    with pytest.raises(ValueError, match="5"):
        filters([b"short"])
