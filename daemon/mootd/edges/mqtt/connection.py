"""One MQTT connection, used once: what aiomqtt leaves to its user.

Invariant: every call ends, as soon as the connection does and in any case at its deadline; and when a connection has
been left, by whichever way, its socket is closed and nothing of it runs, is registered with the loop, or is logged.

aiomqtt by itself waits for its time-out when a broker hangs up (on a publish, before the answer to CONNECT), keeps the
socket of a connection that came about too late, doesn't tell the properties of CONNACK or the reason in a PUBACK,
loses the kind of an error, and may register a socket for writing when its number is another's already. The private
names used here are its hooks for paho; the tests would notice if they changed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from moot_protocol.errors import Code, RefusedError
from mootd.edges.mqtt.names import Filter
from mootd.edges.mqtt.refusals import publish_refusal, refusal, subscribe_refusal
from mootd.edges.mqtt.settings import Plug, Version
from mootd.remotes import Channel

_PROTOCOLS: Final = {Version.V5: aiomqtt.ProtocolVersion.V5, Version.V311: aiomqtt.ProtocolVersion.V311}
_MAY_BE_OLD: Final = "if it speaks MQTT 3.1.1 only and doesn't say so, add it with `--protocol 3.1.1`"
_IN_FLIGHT: Final = 20
"""Publishes not yet acknowledged; fewer where the broker allows fewer."""
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_LEAVE_S: Final = 2.0
"""Seconds that a good-bye may take."""
_AROUND_BYTES: Final = 128
"""Bytes of a PUBLISH packet besides its payload, at most: heads, the topic's name (83), an expiry."""


class _Silent(logging.Logger):
    """A logger that writes nothing and remembers the last error that paho found on its socket, which it only logs."""

    def __init__(self) -> None:
        super().__init__("mqtt", logging.ERROR)
        self.found: OSError | None = None

    def handle(self, record: logging.LogRecord) -> None:
        """Look at a record's arguments instead of writing it."""
        for argument in record.args if isinstance(record.args, tuple) else ():
            if isinstance(argument, OSError):
                self.found = argument


class Connection(aiomqtt.Client):
    """A connection to a broker that hasn't begun.

    Args:
        plug: where to and as whom.
        on_message: called with the topic's name and the payload.
        on_end: called once when an open connection has ended, with the reason.
    """

    def __init__(
        self, plug: Plug, on_message: Callable[[str, bytes], None], on_end: Callable[[RefusedError], None]
    ) -> None:
        self._quiet = _Silent()
        super().__init__(
            plug.address.host,
            plug.address.port,
            username=plug.address.user or None,
            password=plug.credentials.password or None,
            identifier=plug.identifier,
            protocol=_PROTOCOLS[plug.version],
            will=plug.will and aiomqtt.Will(plug.will.name, plug.will.payload, qos=1, retain=True),
            **_session(plug),
            timeout=plug.options.connect_s,
            keepalive=plug.options.keepalive_s,
            tls_context=plug.tls,
            logger=self._quiet,
            # Or a frame waits up to 40 ms for the acknowledgement of the one before it.
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )
        self._client.connect_timeout = plug.options.connect_s
        self.version: Final = plug.version
        self._plug = plug
        self._arrived = on_message
        self._on_end = on_end
        self._is_in_thread = False
        self._is_abandoned = False
        self._is_through = False
        """Whether the network has led to somebody."""
        self._failure: Exception | None = None
        self._allowed = _properties(PacketTypes.CONNACK)
        self._unacknowledged: dict[int, asyncio.Future[ReasonCode]] = {}
        self._room = asyncio.Semaphore(_IN_FLIGHT)

    # -- What its user calls -------------------------------------------------------------------------------------
    async def open(self, filters: Sequence[Filter]) -> None:
        """Connect and subscribe.

        Raises:
            RefusedError: `unreachable`, `timeout`, `denied` or `invalid`.
        """
        try:
            async with asyncio.timeout(self._plug.options.connect_s):
                self._is_in_thread = True
                await self.__aenter__()
                self._disconnected.add_done_callback(self._ended)
                self._check_broker()
                if filters:
                    await self._subscribe_to(filters)
        except (aiomqtt.MqttError, OSError, UnicodeError) as error:  # the last for what can't be a host's name
            self.cut()
            refused = refusal(self._plug.address, self._failure or self._quiet.found or error, error)
            if not refused.hint and self._is_through and self.version is Version.V5:
                refused.hint = _MAY_BE_OLD
            raise refused from None
        except BaseException:
            self.cut()
            raise

    async def hand_over(self, name: str, payload: bytes, *, is_retained: bool, expiry_s: int | None) -> None:
        """Publish and wait for the acknowledgement. When none comes in time, the connection is over.

        Raises:
            RefusedError: `unreachable`, `timeout`, `limit` or `denied`.
        """
        largest = getattr(self._allowed, "MaximumPacketSize", None)
        if largest is not None and len(payload) + _AROUND_BYTES > largest:
            raise RefusedError(
                f"a frame of {len(payload)} bytes; {self._plug.address} carries packets of {largest}", code=Code.LIMIT
            )
        properties = _publish_properties(expiry_s) if self.version is Version.V5 else None
        try:
            async with asyncio.timeout(self._plug.options.publish_s):
                answer = await self._send(name, payload, is_retained, properties)
        except TimeoutError as error:
            self._failure = error
            self.cut()
            raise refusal(self._plug.address, error, error) from None
        if answer.is_failure:
            raise publish_refusal(self._plug.address, answer)

    async def leave(self) -> None:
        """Say good-bye, so that the broker discards the will, and close."""
        try:
            with suppress(aiomqtt.MqttError, TimeoutError):  # then it ends without one
                async with asyncio.timeout(_LEAVE_S):
                    await self.__aexit__(None, None, None)
        finally:
            self.cut()

    def cut(self) -> None:
        """Close without a good-bye, so that the broker publishes the will. Fine at any time, and more than once."""
        self._is_abandoned = True
        if self._is_in_thread:
            return  # `_settle` does it when the thread has come back
        self._client._sock_close()  # noqa: SLF001 - unregisters the socket and stops what serves it
        for future in (self._connected, self._disconnected):
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()  # taken note of

    # -- Steps ---------------------------------------------------------------------------------------------------
    def _check_broker(self) -> None:
        if self._client.socket() is None:
            raise self._reason()  # aiomqtt forgets an end that comes with the beginning
        if getattr(self._allowed, "RetainAvailable", 1) == 0 or getattr(self._allowed, "MaximumQoS", 1) == 0:
            raise RefusedError(f"{self._plug.address} keeps no retained messages or acknowledges none")
        fewer = _IN_FLIGHT - getattr(self._allowed, "ReceiveMaximum", _IN_FLIGHT)
        if fewer > 0:
            self._room = asyncio.Semaphore(_IN_FLIGHT - fewer)

    async def _subscribe_to(self, filters: Sequence[Filter]) -> None:
        answers = await self.subscribe([(each.pattern, _wish(self.version, each.channel)) for each in filters])
        for answer in answers:
            if isinstance(answer, ReasonCode) and answer.is_failure:
                raise subscribe_refusal(self._plug.address, answer)

    async def _send(self, name: str, payload: bytes, is_retained: bool, properties: Properties | None) -> ReasonCode:
        await self._room.acquire()  # given back when the broker acknowledges, whoever still waits for that
        if self._disconnected.done():
            self._room.release()
            raise self._reason()
        info = self._client.publish(name, payload, 1, is_retained, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            self._room.release()
            raise self._reason()
        acknowledged = self._unacknowledged[info.mid] = self._loop.create_future()
        answer: ReasonCode = await acknowledged
        return answer

    def _ended(self, disconnected: "asyncio.Future[None]") -> None:
        error = None if disconnected.cancelled() else disconnected.exception()
        if isinstance(error, Exception):
            self._failure = self._failure or error
        for waiting in self._unacknowledged.values():
            if not waiting.done():
                waiting.set_exception(self._reason())
        for subscribing in self._pending_subscribes.values():
            if not subscribing.done():
                subscribing.set_exception(aiomqtt.MqttError("the connection has ended"))
        self._room.release()  # wakes one who waits for room, who wakes the next
        self._on_end(self._reason())

    def _reason(self) -> RefusedError:
        error = self._failure or aiomqtt.MqttError("the connection has ended")
        return refusal(self._plug.address, self._quiet.found or error, error)

    def _settle(self) -> None:
        self._is_in_thread = False
        if self._is_abandoned:
            self.cut()

    # -- Hooks of aiomqtt ----------------------------------------------------------------------------------------
    def _client_connect(self) -> None:
        try:
            super()._client_connect()
            self._is_through = True
        except Exception as error:
            self._failure = error  # aiomqtt passes on its words only
            raise
        finally:
            self._loop.call_soon_threadsafe(self._settle)  # after what paho has asked for in this thread

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._allowed = properties or self._allowed
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code))
        elif not self._connected.cancelled():
            super()._on_disconnect(client, userdata, flags, reason_code, properties)
            self._failure = self._failure or aiomqtt.MqttCodeError(reason_code)
            if self._disconnected.done() and not self._disconnected.cancelled():
                self._disconnected.exception()  # taken note of: it may be thrown away

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        self._room.release()
        if _QUICKACK is not None and isinstance(sock := self._client.socket(), socket.socket):
            # Or what the broker sends next may wait 40 ms for TCP's own acknowledgement of this one.
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        acknowledged = self._unacknowledged.pop(mid, None)
        if acknowledged is not None and not acknowledged.done():
            acknowledged.set_result(reason_code)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a name that no broker should let through: whoever reads it reports what it isn't
            self._arrived("", b"")
        else:
            self._arrived(topic, bytes(message.payload))

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        if self._is_in_thread:
            super()._on_socket_register_write(client, userdata, sock)
        else:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]  # the library has no types here


def _session(plug: Plug) -> dict[str, Any]:
    """What the broker is told about keeping a session: over MQTT 3.1.1 whether, but not for how long."""
    if plug.version is Version.V311:
        return {"clean_session": plug.options.session_s == 0}
    return {"clean_start": False, "properties": _connect_properties(plug)}


def _wish(version: Version, channel: Channel) -> Any:
    """How frames of a channel are wanted.

    Over MQTT 3.1.1 questions can't expire, so they are to come with QoS 0, which brokers don't keep for who is away.
    """
    if version is Version.V311:
        return int(channel is not Channel.WANT)
    return SubscribeOptions(qos=1, noLocal=True)


def _publish_properties(expiry_s: int | None) -> Properties:
    properties = _properties(PacketTypes.PUBLISH)
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    return properties


def _connect_properties(plug: Plug) -> Properties:
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = plug.options.session_s
    properties.ReceiveMaximum = plug.options.receive_maximum
    properties.MaximumPacketSize = plug.options.inbox.frame_bytes + 1024  # what is much larger isn't even sent to us
    return properties
