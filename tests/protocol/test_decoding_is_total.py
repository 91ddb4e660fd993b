"""Every byte string gives a value or an error with a stable code, and what decodes encodes to the same bytes."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import moot_protocol
from moot_testkit.bytes.decoders import DECODERS, Decoder, check_total
from moot_testkit.bytes.strategies import damaged

every_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name.replace(" ", "_"))
SAMPLES = [sample for decoder in DECODERS for sample in decoder.samples]


def public_decoders() -> set[Callable[..., Any]]:
    """All functions of the protocol whose names begin with `decode_`."""
    modules = (
        importlib.import_module(info.name) for info in pkgutil.walk_packages(moot_protocol.__path__, "moot_protocol.")
    )
    return {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("decode_") and function.__module__ == module.__name__
    }


def test_every_decoder_of_the_protocol_is_tried_here() -> None:
    covered = {function for decoder in DECODERS for function in decoder.covers}
    left_out = sorted(f"{function.__module__}.{function.__name__}" for function in public_decoders() - covered)
    assert not left_out, "add them to DECODERS in tests/support/moot_testkit/bytes/decoders.py"


@every_decoder
def test_every_sample_decodes(decoder: Decoder) -> None:
    assert [check_total(decoder, sample) for sample in decoder.samples] == [True] * len(decoder.samples)


@every_decoder
@given(data=st.binary(max_size=200))
def test_any_bytes(decoder: Decoder, data: bytes) -> None:
    check_total(decoder, data)


@every_decoder
@given(data=st.data())
def test_valid_input_after_damage(decoder: Decoder, data: st.DataObject) -> None:
    sample, other = data.draw(st.sampled_from(decoder.samples)), data.draw(st.sampled_from(SAMPLES))
    check_total(decoder, data.draw(damaged(sample, other)))


@every_decoder
def test_every_cut_and_every_single_byte_of_the_first_sample(decoder: Decoder) -> None:
    sample = decoder.samples[0][:400]
    for at in range(len(sample)):
        check_total(decoder, sample[:at])
        for value in (0x00, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xC4, 0xC7, 0xCA, 0xCF, 0xD6, 0xDB, 0xDD, 0xDF, 0xFF):
            check_total(decoder, sample[:at] + bytes([value]) + sample[at + 1 :])


@every_decoder
def test_nesting_of_many_thousand_levels(decoder: Decoder) -> None:
    for head in ("91", "81a161", "81", "dd00000001", "9193a0c4"):
        check_total(decoder, bytes.fromhex(head) * 15_000)


@every_decoder
@given(data=st.data())
def test_a_length_field_that_promises_gigabytes(decoder: Decoder, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(decoder.samples))
    at = data.draw(st.integers(0, len(sample)))
    head = data.draw(st.sampled_from(["ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff01"]))
    check_total(decoder, sample[:at] + bytes.fromhex(head) + sample[at:])
