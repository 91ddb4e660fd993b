"""What a connection to a broker is made of."""

import ssl
from enum import StrEnum
from typing import Final, NamedTuple

from mootd.edges.inbox import DEFAULT_LIMITS, InboxLimits
from mootd.edges.mqtt.address import Address, Credentials


class Version(StrEnum):
    """A version of MQTT, as people write it."""

    V5 = "5"
    V311 = "3.1.1"
    """It can't be told when to forget, nor how much to send at once, and never says that a publish isn't allowed."""


class Options(NamedTuple):
    """Deadlines, lifetimes and limits of a remote. What they say to a broker, one for MQTT 3.1.1 isn't told."""

    versions: tuple[Version, ...] = (Version.V5, Version.V311)
    """What is spoken: the first, and the next only where the broker says that it doesn't speak the one before."""

    connect_s: float = 10
    """Seconds until a connection stands with its subscriptions."""
    publish_s: float = 10
    """Seconds until the broker has acknowledged a frame."""
    keepalive_s: int = 30
    """Seconds after which a silent connection is tried, and given up if nothing comes back in as long again."""
    session_s: int = 3600
    """Seconds for which the broker keeps what others send while this sender is away; 0: not at all, in any version."""
    batch_s: int = 24 * 3600
    """Seconds after which the broker forgets batches that it couldn't deliver."""
    want_s: int = 60
    """The same for wants: who asks again asks anew."""
    receive_maximum: int = 100
    """Frames that the broker may have on their way to us."""
    inbox: InboxLimits = DEFAULT_LIMITS


class LastWord(NamedTuple):
    """What the broker publishes, retained, when the connection breaks."""

    name: str
    payload: bytes


class Plug(NamedTuple):
    """All that one connection needs to know."""

    address: Address
    credentials: Credentials
    tls: ssl.SSLContext | None
    identifier: str
    """The client's identifier, under which the broker keeps its session."""
    will: LastWord | None
    options: Options
    version: Version = Version.V5


DEFAULT_OPTIONS: Final = Options()
