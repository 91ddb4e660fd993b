"""Addresses without secrets, secrets that aren't shown, and files for TLS."""

import ssl
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_testkit.machines.tls_files import Authority
from mootd.edges.mqtt.address import Address, Credentials, Tls, check_settings, parse_address, tls_context

SECRET = "hunter2"  # noqa: S105 - none


def refusal(act: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        act()
    assert raised.value.code is Code.INVALID
    assert not raised.value.retryable
    return raised.value


# -- URLs --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "address", "kept"),
    [
        ("mqtt://broker.example", Address("broker.example", 1883, False), "mqtt://broker.example:1883"),
        ("mqtts://broker.example/", Address("broker.example", 8883, True), "mqtts://broker.example:8883"),
        ("mqtt://alice@h:99", Address("h", 99, False, "alice"), "mqtt://alice@h:99"),
        ("mqtt://al%40ice@h", Address("h", 1883, False, "al@ice"), "mqtt://al%40ice@h:1883"),
        ("mqtts://[::1]:8884", Address("::1", 8884, True), "mqtts://[::1]:8884"),
        ("MQTTS://Broker", Address("broker", 8883, True), "mqtts://broker:8883"),
    ],
)
def test_a_url_says_host_port_tls_and_user_and_has_one_spelling(url: str, address: Address, kept: str) -> None:
    assert parse_address(url) == address
    assert str(address) == kept
    assert parse_address(kept) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "broker", "broker:1883", "http://h", "mqtt://", "mqtt://:1883", "mqtt://alice@", "mqtt://h:0", "mqtt://h:65536",
        "mqtt://h:x", "mqtt://h/topic", "mqtt://h?ssl=0", "mqtt://h#x", "mqtt://h h", "mqtt://[::1", "mqtt://a%0ab@h",
        "mqtt://h\n", "mqtt://hôte", "ws://h", "mqtt://a%00@h",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_the_shape_is_told(url: str) -> None:
    assert "mqtt://[user@]host[:port]" in refusal(lambda: parse_address(url)).hint


def test_a_password_in_a_url_is_refused_with_where_it_goes() -> None:
    error = refusal(lambda: parse_address("mqtt://alice:hunter2@h"))
    assert (error.message, "--password-file" in error.hint) == ("a broker's URL must not hold a password", True)


@pytest.mark.parametrize(
    "url", ["mqtt://alice:hunter2@h", "mqtts://:hunter2@h:1/x", "mqtt://a:hunter2@[::1", "mqtt://a:hunter2@h:x"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    error = refusal(lambda: parse_address(url))
    assert "hunter2" not in f"{error} {error.hint} {error.__cause__!r}"
    assert error.__suppress_context__ or error.__context__ is None


URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["mqtt://", "mqtts://", "MQTT://"]),
    st.sampled_from(["", "alice@", "al%40ice@", "a%2fb@", "a+b@", "a@b@", "%5b@"]),
    st.sampled_from(["h", "Broker.example", "127.0.0.1", "[::1]", "[fe80::1%25eth0]", "x_y", "h%20"]),
    st.sampled_from(["", ":", ":99", ":01883", ":65535"]),
    st.sampled_from(["", "/", "//"]),
)
EDITS = st.lists(
    st.tuples(st.integers(7, 40), st.integers(0, 2), st.text("@:/[]%?#.+aZ09 \\", max_size=2) | st.text(max_size=1)),
    max_size=2,
)


def edited(url: str, edits: list[tuple[int, int, str]]) -> str:
    """A URL with other characters in the places of some: `(offset, how many go, what comes)`."""
    for at, gone, put in edits:
        url = url[:at] + put + url[at + gone :]
    return url


@given(st.builds(edited, URLS, EDITS))
def test_whatever_is_accepted_is_kept_in_a_spelling_that_means_the_same(url: str) -> None:
    try:
        address = parse_address(url)
    except RefusedError:
        return
    assert parse_address(str(address)) == address


def test_addresses_and_names_are_read_without_the_mqtt_library() -> None:
    code = "import sys, mootd.edges.mqtt.address, mootd.edges.mqtt.names; print({'aiomqtt', 'paho'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


# -- Settings ----------------------------------------------------------------------------------------------------
def test_secrets_are_never_shown() -> None:
    assert "hunter2" not in repr(Credentials("hunter2", "hunter2"))


@pytest.mark.parametrize(
    ("url", "tls", "credentials", "words"),
    [
        ("mqtt://h", Tls(ca=Path("ca.pem")), Credentials(), "isn't encrypted"),
        ("mqtts://h", Tls(key=Path("k")), Credentials(), "without its certificate"),
        ("mqtts://h", Tls(), Credentials("hunter2"), "without a user"),
    ],
)
def test_settings_that_cannot_all_be_meant_are_refused(
    url: str, tls: Tls, credentials: Credentials, words: str
) -> None:
    error = refusal(lambda: check_settings(parse_address(url), tls, credentials))
    assert words in str(error)
    assert "hunter2" not in str(error)


# -- Files -------------------------------------------------------------------------------------------------------
@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def test_a_context_verifies_the_broker_and_its_name_against_the_authority_given(authority: Authority) -> None:
    context = tls_context(Tls(ca=authority.certificate), Credentials())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_without_an_authority_the_systems_are_trusted() -> None:
    context = tls_context(Tls(), Credentials())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_encrypted_key_needs_its_passphrase_and_nobody_is_asked(authority: Authority) -> None:
    pair = authority.vouch("client", passphrase=SECRET.encode())
    tls = Tls(authority.certificate, pair.certificate, pair.key)
    assert tls_context(tls, Credentials(key_passphrase=SECRET)).cert_store_stats()["x509_ca"] == 1
    for wrong in ("", "wrong"):
        error = refusal(partial(tls_context, tls, Credentials(key_passphrase=wrong)))
        assert str(pair.certificate) in str(error)


def test_a_file_that_is_missing_or_no_certificate_is_named(authority: Authority, tmp_path: Path) -> None:
    missing, nonsense = tmp_path / "missing.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("nothing of the sort")
    for path in (missing, nonsense):
        for tls in (Tls(ca=path), Tls(authority.certificate, path)):
            assert str(path) in str(refusal(partial(tls_context, tls, Credentials())))


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    one, other = authority.vouch("one"), authority.vouch("other")
    refusal(lambda: tls_context(Tls(authority.certificate, one.certificate, other.key), Credentials()))
