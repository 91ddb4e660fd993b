"""Signed messages: what is signed is what travels, nobody speaks for another, and the first wrong thing is told."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from moot_protocol import crypto
from moot_protocol.codec import encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.signed import Envelope
from moot_testkit.bytes.feeds import signer

ME, STRANGER = signer("me"), signer("stranger")
DOMAIN = b"moot/test/1\0"


class Word(msgspec.Struct, array_like=True, frozen=True):
    version: int
    sender: bytes
    word: str


def problem_of(body: Word) -> str | None:
    return None if body.word else "no word"


WORDS = Envelope(Word, 3, type=9, domain=DOMAIN, name="a word", most_bytes=200, problem_of=problem_of)
WORD = Word(3, ME.public, "here")


def refusal(data: bytes, envelope: Envelope[Word] = WORDS) -> MalformedError:
    with pytest.raises(MalformedError) as caught:
        envelope.decode(data)
    return caught.value


def changed(at: int, value: Any) -> bytes:
    """A message with another value in one of its four places."""
    parts = msgspec.msgpack.decode(WORDS.build(ME, WORD))
    parts[at] = value
    return encode(parts)


def test_a_message_is_read_as_it_was_signed() -> None:
    assert WORDS.decode(WORDS.build(ME, WORD)) == WORD


def test_its_bytes_are_format_type_body_and_a_signature_over_domain_and_body() -> None:
    version, kind, body, signature = msgspec.msgpack.decode(WORDS.build(ME, WORD))
    assert (version, kind, body) == (1, 9, encode([3, ME.public, "here"]))
    assert crypto.is_signed(ME.public, signature, DOMAIN + body)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (bytes(201), Code.TOO_LARGE, "a word of 201 bytes"),
        (changed(0, 2), Code.BAD_VERSION, "of another format"),
        (changed(1, 8), Code.BAD_STRUCTURE, "a word with another type"),
        (changed(1, "9"), Code.BAD_STRUCTURE, "signed message"),
        (changed(2, b"\x90"), Code.BAD_STRUCTURE, "not a word"),
        (changed(3, bytes(64)), Code.BAD_SIGNATURE, "a word that its sender didn't sign"),
        (changed(2, encode(replace(WORD, word="there"))), Code.BAD_SIGNATURE, "didn't sign"),
        (WORDS.build(ME, replace(WORD, version=2)), Code.BAD_VERSION, "of another format"),
        (WORDS.build(ME, replace(WORD, word="")), Code.BAD_STRUCTURE, "a word with no word"),
        (WORDS.build(STRANGER, WORD), Code.BAD_SIGNATURE, "didn't sign"),
        (WORDS.build(ME, replace(WORD, sender=b"short")), Code.BAD_SIGNATURE, "didn't sign"),
        (WORDS.build(ME, WORD) + b"\0", Code.BAD_STRUCTURE, "signed message"),
        (b"", Code.BAD_STRUCTURE, "signed message"),
    ],
)
def test_what_is_no_such_message_is_refused_by_the_first_check_that_fails(data: bytes, code: Code, words: str) -> None:
    error = refusal(data)
    assert error.code is code
    assert words in error.message


def test_what_is_wrong_with_a_body_is_told_before_whose_signature_it_has() -> None:
    assert refusal(WORDS.build(STRANGER, replace(WORD, word=""))).code is Code.BAD_STRUCTURE


def test_a_signature_is_none_of_a_type_with_another_domain() -> None:
    other = Envelope(Word, 3, type=9, domain=b"moot/other/1\0", name="a word", most_bytes=200, problem_of=problem_of)
    assert refusal(other.build(ME, WORD)).code is Code.BAD_SIGNATURE
