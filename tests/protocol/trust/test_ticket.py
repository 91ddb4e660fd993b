"""A ticket comes through as it was made or says in words why not, tells no secrets, and carries no credentials."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moot_protocol import ids
from moot_protocol.codec import decode_value, encode
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import TICKET_CHARS, TICKET_REMOTES, URL_BYTES
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.ticket import (
    Remote,
    RemoteKind,
    Ticket,
    TownTicket,
    decode_ticket,
    encode_ticket,
    invite_hpke_private,
    invite_signer,
    ticket_for_town,
    without_credentials,
)
from moot_testkit.bytes.feeds import Town, seed

TOWN = Town()
TICKET = Ticket(
    1, TOWN.plane, PlaneKind.LEDGER, "ledger", TOWN.key.public, "rivertown", seed("topic key"), seed("plane key"),
    (Remote(RemoteKind.GIT, "git@example.org:team/moot.git"), Remote(RemoteKind.MQTT, "mqtts://example.org:8883")),
    seed("invite"),
)  # fmt: skip
TEXT = encode_ticket(TICKET)
FOR_TOWN = ticket_for_town(TICKET, Role.ADMIN)
SECRETS = [TICKET.topic_key, TICKET.plane_key, TICKET.invite_seed]


def refusal(text: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        decode_ticket(text)
    return caught.value


def written(body: bytes) -> str:
    """A ticket with any body, its length and check as they should be."""
    # The one way to write a ticket that `encode_ticket` wouldn't: let it write another body.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moot_protocol.trust.ticket.encode", lambda _: body)
        return encode_ticket(TICKET)


def forged(**changes: Any) -> str:
    """A ticket that is as it should be but for what is named."""
    names = ("version", "plane", "kind", "plane_name", "town", "town_name", "topic_key", "plane_key", "remotes", "seed")
    parts = dict(zip(names, decode_value(encode(TICKET)), strict=True))
    return written(encode([*(parts | changes).values()]))


# -- There and back --------------------------------------------------------------------------------------------------
def test_a_ticket_is_read_as_it_was_made() -> None:
    assert decode_ticket(TEXT) == TICKET


def test_a_ticket_for_a_town_says_so_and_its_role_and_is_no_machine_s() -> None:
    read = decode_ticket(encode_ticket(FOR_TOWN))
    assert isinstance(read, TownTicket)
    assert (read, read.role) == (FOR_TOWN, Role.ADMIN)
    assert not isinstance(decode_ticket(TEXT), TownTicket)
    assert "role" in repr(read)
    assert not any(repr(secret) in repr(read) or secret.hex() in repr(read) for secret in SECRETS)


def test_a_ticket_for_a_town_with_a_role_that_is_none_is_refused() -> None:
    body = encode([*decode_value(encode(TICKET)), "king"])
    assert refusal(written(body)).code is Code.INVALID
    assert decode_ticket(encode_ticket(replace(TICKET, town_name="", remotes=()))).remotes == ()


def test_a_ticket_is_one_word_of_small_letters_and_digits() -> None:
    assert TEXT.startswith("moot1")
    assert set(TEXT[5:]) <= set(ids.CROCKFORD)
    assert len(TEXT) < 500


@given(st.data())
def test_line_ends_blanks_capitals_and_letters_like_digits_do_no_harm(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT)))
    blank = data.draw(st.sampled_from([" ", "\n", "\r\n\t", "\u00a0"]))
    assert decode_ticket(f" {TEXT[:at]}{blank}{TEXT[at:]}\n") == TICKET
    assert decode_ticket(TEXT.upper()) == TICKET
    assert decode_ticket(TEXT[:5] + TEXT[5:].replace("0", "O").replace("1", "l")) == TICKET


def test_no_remote_s_credentials_come_into_a_ticket() -> None:
    url = "https://alice:hunter2@example.org/moot.git"
    text = encode_ticket(replace(TICKET, remotes=(Remote(RemoteKind.GIT, url),)))
    assert decode_ticket(text).remotes == (Remote(RemoteKind.GIT, "https://example.org/moot.git"),)


# -- What went wrong on the way --------------------------------------------------------------------------------------
@given(st.integers(5, len(TEXT) - 1))
def test_a_ticket_that_was_cut_says_so(length: int) -> None:
    error = refusal(TEXT[:length])
    assert "isn't whole" in error.message
    assert length < 9 or f" {len(TEXT) - length} characters" in error.message
    assert "copy" in error.hint


def test_what_only_begins_as_a_ticket_does_is_told_as_mistyped() -> None:
    assert "never was one" in refusal("moot1garbage").message


@given(st.integers(5, len(TEXT) - 1), st.sampled_from(ids.CROCKFORD))
def test_every_single_mistyped_character_is_noticed(at: int, char: str) -> None:
    mistyped = TEXT[:at] + char + TEXT[at + 1 :]
    if mistyped != TEXT:
        assert "mistyped" in refusal(mistyped).message or (at < 9 and "isn't whole" in refusal(mistyped).message)


@given(st.integers(9, len(TEXT) - 2))
def test_every_two_characters_changed_about_are_noticed(at: int) -> None:
    swapped = TEXT[:at] + TEXT[at + 1] + TEXT[at] + TEXT[at + 2 :]
    if swapped != TEXT:
        assert "mistyped" in refusal(swapped).message


@given(st.integers(9, len(TEXT) - 1), st.sampled_from(["", "x", "7k", "0"]))
def test_a_character_left_out_or_typed_twice_is_noticed(at: int, more: str) -> None:
    message = refusal(TEXT[:at] + more + TEXT[at + (not more) :]).message
    assert ("mistyped" if more else "isn't whole") in message


@pytest.mark.parametrize("more", ["0", "00000000", "7", TEXT])
def test_something_more_behind_a_ticket_is_noticed(more: str) -> None:
    assert "mistyped" in refusal(TEXT + more).message or "too long" in refusal(TEXT + more).message


def test_a_character_that_is_in_no_ticket_is_told_by_its_place() -> None:
    assert "character 20," in refusal(TEXT[:19] + "!" + TEXT[20:]).message


@pytest.mark.parametrize("text", ["", "moot", "mootx", "hello", "git@example.org:moot.git", TEXT[1:], "m" + TEXT])
def test_what_is_no_ticket_at_all_is_told_how_tickets_begin(text: str) -> None:
    assert "moot1" in refusal(text).message


def test_what_is_too_long_is_refused_before_it_is_read() -> None:
    assert "too long" in refusal("moot1" + "!" * TICKET_CHARS).message


@pytest.mark.parametrize("text", ["moot2anything", forged(version=2), written(encode([3, "newer"]))])
def test_a_newer_version_s_ticket_says_so(text: str) -> None:
    error = refusal(text)
    assert error.code is Code.BAD_VERSION
    assert "newer" in error.message
    assert "up to date" in error.hint


def test_what_is_refused_says_nothing_of_the_ticket() -> None:
    for text in (TEXT[:-1], TEXT[:-1] + "!", TEXT + "x", forged(plane=b""), forged(remotes=7)):
        error = refusal(text)
        for at in range(5, len(TEXT) - 8):
            assert TEXT[at : at + 8] not in f"{error.message} {error.hint}"


# -- What a ticket may not say ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes",
    [
        {"plane": bytes(15)},
        {"town": bytes(31)},
        {"town": bytes(32)},
        {"topic_key": b""},
        {"plane_key": bytes(33)},
        {"seed": bytes(16)},
        {"kind": "operational"},
        {"kind": "other"},
        {"plane_name": ""},
        {"town_name": "a\nb"},
        {"remotes": [["ftp", "ftp://example.org"]]},
        {"remotes": [["git", ""]]},
        {"remotes": [["git", "git@example.org:a\x1b[2J"]]},
        {"remotes": [["git", "a" * (URL_BYTES + 1)]]},
        {"remotes": [["git", "a"]] * (TICKET_REMOTES + 1)},
    ],
)
def test_a_ticket_that_says_what_can_t_be_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(forged(**changes)).code in {Code.INVALID, Code.DENIED, Code.LIMIT}


def test_no_ticket_is_made_for_an_operational_plane() -> None:
    with pytest.raises(RefusedError, match="never leaves"):
        encode_ticket(replace(TICKET, kind=PlaneKind.OPERATIONAL))


def test_no_ticket_is_made_that_no_terminal_takes() -> None:
    remotes = tuple(Remote(RemoteKind.GIT, f"https://example.org/{'a' * 900}/{n}") for n in range(TICKET_REMOTES))
    with pytest.raises(RefusedError) as caught:
        encode_ticket(replace(TICKET, remotes=remotes))
    assert caught.value.code is Code.LIMIT


# -- Secrets ---------------------------------------------------------------------------------------------------------
def test_a_ticket_shows_no_secrets() -> None:
    for shown in (repr(TICKET), str(TICKET), f"{TICKET}", repr(TICKET.__rich_repr__()), repr([TICKET])):
        assert "ledger" in shown
        assert not any(repr(secret) in shown or secret.hex() in shown for secret in SECRETS)


def test_an_invite_s_two_keys_follow_from_its_seed_and_not_from_one_another() -> None:
    one, other = TICKET.invite_seed, seed("other")
    assert invite_signer(one).public != invite_signer(other).public
    assert len({one, other, invite_hpke_private(one), invite_hpke_private(other)}) == 4
    assert len(invite_hpke_private(one)) == 32


# -- Credentials -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://example.org/a.git", "https://example.org/a.git"),
        ("https://alice@example.org/a.git", "https://example.org/a.git"),
        ("https://alice:hunter2@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("HTTPS://token@example.org", "HTTPS://example.org"),
        ("https://a:b@c@example.org/x@y", "https://example.org/x@y"),
        ("https://example.org/a.git?token=hunter2#x", "https://example.org/a.git"),
        ("https://example.org?token=hunter2", "https://example.org"),
        ("https://alice:pass%2Fword@[::1]:443/a", "https://[::1]:443/a"),
        ("mqtts://alice:hunter2@broker.example:8883", "mqtts://broker.example:8883"),
        ("mqtt://localhost", "mqtt://localhost"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("ssh://git:hunter2@example.org:22/a#b.git", "ssh://git@example.org:22/a#b.git"),
        ("git+ssh://alice:hunter2@example.org/~/a", "git+ssh://alice@example.org/~/a"),
        ("ssh://:hunter2@example.org/a", "ssh://example.org/a"),
        ("git@example.org:team/a.git", "git@example.org:team/a.git"),
        ("git:hunter2@example.org:team/a.git", "git@example.org:team/a.git"),
        ("git:hun@ter2@example.org:a.git", "git@example.org:a.git"),
        ("example.org:a@b", "example.org:a@b"),
        ("/srv/a:b@c.git", "/srv/a:b@c.git"),
        ("../a@b", "../a@b"),
        ("file:///srv/what?.git", "file:///srv/what?.git"),
        ("file://alice:hunter2@host/srv", "file://host/srv"),
    ],
)
def test_an_address_is_left_without_credentials(url: str, bare: str) -> None:
    assert without_credentials(url) == bare
    assert without_credentials(bare) == bare


@pytest.mark.parametrize(
    "url", ["https://alice:hun/ter2@example.org/a", "https://alice:hun#ter2@example.org/a", "https://a:b:c/d"]
)
def test_where_credentials_can_t_be_told_from_the_rest_the_address_is_refused(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        without_credentials(url)
    assert "hun" not in caught.value.message
    assert "a character that no host has" in caught.value.message
    assert "--password-file" in caught.value.hint


def test_of_a_host_with_a_blank_that_is_said_and_nothing_of_writing_a_password_into_it() -> None:
    with pytest.raises(RefusedError) as caught:
        without_credentials("mqtt://x y")
    assert caught.value.message == "the host of this address holds a blank"
    assert "%2F" not in caught.value.hint


@given(
    st.sampled_from(["https", "mqtt", "ssh", "wss", "git"]), st.text(st.characters(categories=["L", "N"]), min_size=1)
)
def test_a_password_never_stays(scheme: str, word: str) -> None:
    bare = without_credentials(f"{scheme}://alice:<{word}>@example.org/a")
    assert f"<{word}>" not in bare
    assert bare.endswith("example.org/a")


@given(st.text(max_size=40))
def test_any_text_comes_to_the_same_a_second_time_or_is_refused(text: str) -> None:
    try:
        bare = without_credentials(text)
    except RefusedError as error:
        assert error.hint  # noqa: PT017  # both outcomes are fine
    else:
        assert without_credentials(bare) == bare
