"""What errors of brokers, networks and TLS mean."""

import socket
import ssl

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from moot_protocol.errors import Code
from mootd.edges.mqtt.address import Address
from mootd.edges.mqtt.refusals import publish_refusal, refusal, subscribe_refusal

BROKER = Address("h", 1883, is_tls=False)


def says(value: int, packet: int = PacketTypes.CONNACK) -> ReasonCode:
    return ReasonCode(packet, identifier=value)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0x84, Code.INVALID), (0x85, Code.INVALID), (0x86, Code.DENIED), (0x87, Code.DENIED), (0x88, Code.UNREACHABLE),
        (0x89, Code.UNREACHABLE), (0x8A, Code.DENIED), (0x8C, Code.DENIED), (0x95, Code.LIMIT),
        (0x97, Code.UNREACHABLE), (0x9A, Code.INVALID), (0x9B, Code.INVALID), (0x9F, Code.UNREACHABLE),
    ],
)  # fmt: skip
def test_a_brokers_reason_code_says_whether_trying_again_may_help(value: int, code: Code) -> None:
    error = aiomqtt.MqttCodeError(says(value))
    refused = refusal(BROKER, error, error)
    assert (refused.code, refused.retryable) == (code, code is Code.UNREACHABLE)
    assert str(says(value)).lower() in str(refused)


def test_frames_and_subscriptions_are_refused_in_the_same_words() -> None:
    for refused in (
        publish_refusal(BROKER, says(0x87, PacketTypes.PUBACK)),
        subscribe_refusal(BROKER, says(0x87, PacketTypes.SUBACK)),
    ):
        assert (refused.code, refused.retryable) == (Code.DENIED, False)
        assert "not authorized" in str(refused)


def test_a_copy_of_this_machines_key_is_suspected_where_a_connection_was_taken_over() -> None:
    error = aiomqtt.MqttCodeError(says(0x8E, PacketTypes.DISCONNECT))
    assert "copy of its key" in refusal(BROKER, error, error).hint


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (OSError(113, "No route to host"), "no route to host"),
        (socket.gaierror(-2, "Name or service not known"), "no such host"),
        (aiomqtt.MqttCodeError(says(0x80, PacketTypes.DISCONNECT)), "closed the connection"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_network_that_fails_is_unreachable(cause: BaseException, words: str) -> None:
    refused = refusal(BROKER, cause, cause)
    assert (refused.code, refused.retryable) == (Code.UNREACHABLE, True)
    assert words in str(refused)


def test_a_broker_that_gives_no_answer_in_time_has_a_code_of_its_own() -> None:
    refused = refusal(BROKER, TimeoutError(), TimeoutError())
    assert (refused.code, refused.retryable) == (Code.TIMEOUT, True)
    assert "no answer in time" in str(refused)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Code.DENIED),
        ("SSLV3_ALERT_BAD_CERTIFICATE", Code.DENIED),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", Code.DENIED),
        ("TLSV1_ALERT_UNKNOWN_CA", Code.DENIED),
        ("TLSV1_ALERT_ACCESS_DENIED", Code.DENIED),
        ("TLSV1_ALERT_PROTOCOL_VERSION", Code.UNREACHABLE),
        ("WRONG_VERSION_NUMBER", Code.UNREACHABLE),
        (None, Code.UNREACHABLE),
    ],
)
def test_an_alert_about_our_certificate_is_a_denial(reason: str | None, code: Code) -> None:
    cause = ssl.SSLError(1, "words")
    if reason is not None:
        cause.reason = reason
    assert refusal(BROKER, cause, aiomqtt.MqttError("words")).code is code
