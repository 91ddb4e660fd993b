"""The live remote over an MQTT broker.

Invariant: a connection is made anew each time and used once; what the broker brings is read strictly or dropped and
counted, so nothing that anybody publishes can end a connection or raise.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from mootd.edges.inbox import Inbox, check_sent
from mootd.edges.mqtt import names
from mootd.edges.mqtt.address import NO_FILES, NO_SECRETS, Address, Credentials, Tls, check_settings, tls_context
from mootd.edges.mqtt.connection import Connection
from mootd.edges.mqtt.names import Filter, Name
from mootd.edges.mqtt.refusals import UnspokenError
from mootd.edges.mqtt.settings import DEFAULT_OPTIONS, LastWord, Options, Plug, Version
from mootd.remotes import RETAINED, SENDER_BYTES, Channel, Dropped, Incoming, Will

_SPOKEN: Final = {
    Version.V5: "MQTT 5",
    Version.V311: "MQTT 3.1.1 only: it keeps sessions for ever, and doesn't say when a frame isn't allowed",
}


class MqttLine:
    """An open connection to a broker."""

    def __init__(self, connection: Connection, sender: bytes, inbox: Inbox, options: Options) -> None:
        self._connection = connection
        self._sender = sender
        self._inbox = inbox
        self._limits = options.inbox
        self._expiry_s = {Channel.BATCHES: options.batch_s, Channel.WANT: options.want_s}

    @property
    def spoken(self) -> str:
        """The version of MQTT; see `Line`."""
        return _SPOKEN[self._connection.version]

    @property
    def waiting(self) -> int:
        """Frames that weren't read yet; see `Line`."""
        return self._inbox.waiting

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """Hand a frame to the broker; see `Line`."""
        check_sent(frame, self._limits)
        await self._connection.hand_over(
            names.written(Name(topic, self._sender, channel)),
            frame,
            is_retained=channel in RETAINED,
            expiry_s=self._expiry_s.get(channel),
        )

    def incoming(self) -> AsyncIterator[Incoming]:
        """Frames of other senders; see `Line`."""
        return self._inbox.frames()


class MqttRemote:
    """A broker.

    Args:
        address: where it is.
        tls: files for TLS.
        credentials: the secrets.
        options: deadlines, lifetimes and limits.

    Raises:
        RefusedError: `invalid`: settings that can't all be meant.
    """

    def __init__(
        self,
        address: Address,
        tls: Tls = NO_FILES,
        credentials: Credentials = NO_SECRETS,
        options: Options = DEFAULT_OPTIONS,
    ) -> None:
        check_settings(address, tls, credentials)
        self._address = address
        self._tls = tls
        self._credentials = credentials
        self._options = options
        self._dropped = Dropped()

    @property
    def dropped(self) -> Dropped:
        """What all connections so far have left out."""
        return self._dropped

    @asynccontextmanager
    async def connect(
        self, sender: bytes, topics: Collection[bytes], will: Will | None = None
    ) -> AsyncIterator[MqttLine]:
        """Open a connection and subscribe; see `LiveRemote`."""
        if len(sender) != SENDER_BYTES:
            raise ValueError(f"a sender of {len(sender)} bytes")
        inbox = Inbox(sender, topics, self._dropped, self._options.inbox)
        connection = await self._opened(await self._plug(sender, will), inbox, names.filters(topics))
        try:
            yield MqttLine(connection, sender, inbox, self._options)
        except BaseException:
            connection.cut()  # no good-bye: for this the will is meant
            raise
        await connection.leave()

    async def _opened(self, plug: Plug, inbox: Inbox, filters: Sequence[Filter]) -> Connection:
        """A connection in the first version that the broker doesn't refuse."""
        put = partial(self._read, inbox)
        *preferred, last = self._options.versions
        for version in preferred:
            connection = Connection(plug._replace(version=version), put, inbox.end)
            with suppress(UnspokenError):  # the next version may be spoken; what the last one meets is raised
                await connection.open(filters)
                return connection
        connection = Connection(plug._replace(version=last), put, inbox.end)
        await connection.open(filters)
        return connection

    def _read(self, inbox: Inbox, name: str, payload: bytes) -> None:
        found = names.read(name)
        if found is None:
            self._dropped.foreign += 1
        else:
            inbox.put(Incoming(found.topic, found.sender, found.channel, payload))

    async def _plug(self, sender: bytes, will: Will | None) -> Plug:
        tls = None
        if self._address.is_tls:
            tls = await asyncio.to_thread(tls_context, self._tls, self._credentials)
        return Plug(
            address=self._address,
            credentials=self._credentials,
            tls=tls,
            identifier=sender.hex(),
            will=will and LastWord(names.written(Name(will.topic, sender, Channel.PRESENCE)), will.frame),
            options=self._options,
        )
