r"""The names under which a plane and its members are known on remotes.

    topic  = HMAC-SHA256(topic key, "moot/topic/1\0" ‖ plane)[:16]
    sender = HMAC-SHA256(topic key, "moot/sender/1\0" ‖ author)[:16]
    charter key = HMAC-SHA256(topic key, "moot/charter-key/1\0" ‖ plane)

Only who has the plane's topic key can tell which plane a topic is, or who a sender. The topic key stays the same when
the plane's key changes: names on remotes must not, or everything would have to be sent anew.

Charters travel under a key of their own, made from the topic key. A charter announces the plane's next key to those who
may have it: sealed under that key, nobody could read it, and sealed under the one before, nobody who comes later could.
So whoever was ever let in can read who is in, and nothing else that was written after they left.
"""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

TOPIC_KEY_BYTES: Final = 32
NAME_BYTES: Final = 16
"""Bytes of a topic's or a sender's name."""
TOPIC_DOMAIN: Final = b"moot/topic/1\0"
SENDER_DOMAIN: Final = b"moot/sender/1\0"
CHARTER_KEY_DOMAIN: Final = b"moot/charter-key/1\0"


def topic_of(topic_key: bytes, plane: bytes) -> bytes:
    """The 16 bytes that name a plane on remotes.

    Args:
        topic_key: the plane's topic key, 32 bytes.
        plane: the plane's 16 bytes.
    """
    return _name(topic_key, TOPIC_DOMAIN + plane)


def sender_of(topic_key: bytes, author: bytes) -> bytes:
    """The 16 bytes that name an author on remotes, among the senders of one topic.

    Args:
        topic_key: the plane's topic key, 32 bytes.
        author: the author's 32-byte key.
    """
    return _name(topic_key, SENDER_DOMAIN + author)


def charter_key(topic_key: bytes, plane: bytes) -> bytes:
    """The 32 bytes that a plane's charters are sealed under on remotes.

    Args:
        topic_key: the plane's topic key, 32 bytes.
        plane: the plane's 16 bytes.
    """
    return _keyed(topic_key, CHARTER_KEY_DOMAIN + plane)


def _name(topic_key: bytes, message: bytes) -> bytes:
    return _keyed(topic_key, message)[:NAME_BYTES]


def _keyed(topic_key: bytes, message: bytes) -> bytes:
    if len(topic_key) != TOPIC_KEY_BYTES:
        raise ValueError(f"a topic key of {len(topic_key)} bytes")
    mac = HMAC(topic_key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()
