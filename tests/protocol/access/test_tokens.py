"""API tokens: their form, and what is kept of them."""

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.access.tokens import bad_token, make_token, token_hash, token_id
from moot_protocol.errors import Code

SECRETS = st.binary(min_size=32, max_size=32)
IDS = st.binary(min_size=8, max_size=8)


@given(IDS, SECRETS, SECRETS)
def test_a_token_names_its_id_and_no_two_secrets_make_the_same(entropy: bytes, one: bytes, other: bytes) -> None:
    token = make_token(entropy, one)
    assert token_id(token) == token.split("_")[1]
    assert (make_token(entropy, other) == token) == (one == other)
    assert (token_hash(make_token(entropy, other)) == token_hash(token)) == (one == other)


def test_what_only_looks_like_a_token_is_none() -> None:
    token = make_token(bytes(8), bytes(range(32)))
    for text in ("", "mtk_", token[:-1], f"{token}0", token.upper(), token.replace("mtk", "mtx"), f"{token}\n"):
        assert token_id(text) is None, text


def test_the_hash_is_pinned() -> None:
    token = make_token(bytes(8), bytes(32))
    assert token == f"mtk_{'0' * 10}_{'0' * 52}"
    assert token_hash(token).hex() == "a634c5d7de5dd5e0016fd545a04400e14910a2bfdb60c6b35189c1221cb999bd"


def test_the_error_of_a_bad_token_does_not_tell_why() -> None:
    error = bad_token()
    assert error.code is Code.BAD_TOKEN
    assert all(word in error.message for word in ("unknown", "expired", "revoked"))
