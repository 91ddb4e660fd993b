"""Names of MQTT topics: `moot/1/<topic>/<sender>/<channel>`, both names in lowercase hexadecimal.

Invariant: a name is read exactly as it is written or not at all, so that nobody can say one thing in two ways.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from mootd.remotes import SENDER_BYTES, TOPIC_BYTES, Channel

_PREFIX: Final = "moot/1"
_NAME: Final = re.compile(
    rf"{_PREFIX}/(?P<topic>[0-9a-f]{{{2 * TOPIC_BYTES}}})/(?P<sender>[0-9a-f]{{{2 * SENDER_BYTES}}})/"
    rf"(?P<channel>{'|'.join(Channel)})"
)


class Name(NamedTuple):
    """What the name of an MQTT topic says."""

    topic: bytes
    sender: bytes
    channel: Channel


def written(name: Name) -> str:
    """The MQTT topic of that name.

    Raises:
        ValueError: a topic or sender that isn't 16 bytes.
    """
    if len(name.topic) != TOPIC_BYTES or len(name.sender) != SENDER_BYTES:
        raise ValueError(f"a topic of {len(name.topic)} bytes, a sender of {len(name.sender)}")
    return f"{_PREFIX}/{name.topic.hex()}/{name.sender.hex()}/{name.channel}"


def read(text: str) -> Name | None:
    """What an MQTT topic says; None if it is none of ours."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    return Name(bytes.fromhex(found["topic"]), bytes.fromhex(found["sender"]), Channel(found["channel"]))


class Filter(NamedTuple):
    """What is subscribed to."""

    pattern: str
    channel: Channel


def filters(topics: Collection[bytes]) -> list[Filter]:
    """MQTT topic filters for every channel of these topics, whoever sends.

    Raises:
        ValueError: a topic that isn't 16 bytes.
    """
    for topic in topics:
        if len(topic) != TOPIC_BYTES:
            raise ValueError(f"a topic of {len(topic)} bytes")
    return [Filter(f"{_PREFIX}/{topic.hex()}/+/{channel}", channel) for topic in topics for channel in Channel]
