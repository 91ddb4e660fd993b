"""Hypothesis strategies for what the protocol is made of: values, drafts, batches, and their many wrong encodings."""

import struct
from typing import Any

from hypothesis import strategies as st

from moot_protocol.crypto import SeedSigner
from moot_protocol.limits import SALT_BYTES
from moot_protocol.log.batch import ZEROS, Batch, BatchBuilder
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.kinds import KINDS

INT_MIN, INT_MAX = -(2**63), 2**64 - 1

texts: st.SearchStrategy[str] = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text that UTF-8 can hold."""

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(INT_MIN, INT_MAX)
    | st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, -1, -32, -33, -128, -129, -32769])
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=40)
)

values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5), max_leaves=12
)
"""Plain data, nested a few levels."""

keys: st.SearchStrategy[str] = st.sampled_from(sorted(KINDS["issue"])) | st.from_regex(r"[a-z_]{1,20}", fullmatch=True)
entities: st.SearchStrategy[str] = st.from_regex(r"[a-z]{2}-[0-9a-z]{12}", fullmatch=True)
actors: st.SearchStrategy[str] = st.sampled_from(["alice", "bob", "alice/claude", "", "Ζωή", "a b"])
salts: st.SearchStrategy[bytes] = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)
hashes: st.SearchStrategy[bytes] = st.binary(min_size=32, max_size=32)
signers: st.SearchStrategy[SeedSigner] = st.binary(min_size=32, max_size=32).map(SeedSigner)
dots: st.SearchStrategy[Dot] = st.builds(Dot, hashes, st.integers(1, 2**40), st.binary(min_size=8, max_size=8))


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """Events about to be made, within every limit."""
    writes = [
        Write(key, None if removes else draw(values), tuple(draw(st.lists(dots, max_size=3))), removes)
        for key, removes in draw(st.lists(st.tuples(keys, st.booleans()), min_size=1, max_size=5, unique_by=first))
    ]
    return Draft(draw(st.sampled_from(sorted(KINDS))), draw(entities), draw(actors), writes)


def first(pair: tuple[Any, ...]) -> Any:
    """The first of a tuple."""
    return pair[0]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Well-formed signed batches of a few events, some of their values absent."""
    signer = draw(signers)
    number, prev = draw(st.just((1, ZEROS)) | st.tuples(st.integers(2, 2**40), hashes.filter(any)))
    builder = BatchBuilder(draw(st.binary(min_size=16, max_size=16)), signer.public, number, prev)
    hlc = draw(st.integers(1, 2**60))
    for draft in draw(st.lists(drafts(), min_size=1, max_size=4)):
        builder.add(draft, hlc, draw(salts))
        hlc += draw(st.integers(1, 2**40))
    return builder.seal(signer.sign)


# -- Every way to write a value in MessagePack ---------------------------------------------------------------------
@st.composite
def encodings(draw: st.DrawFn, value: Any) -> bytes:
    """Any valid MessagePack encoding of a value: short or long forms, maps in any order.

    Independent of the codec under test; often the canonical encoding itself.
    """
    if isinstance(value, dict):
        pairs = draw(st.permutations(sorted(value.items(), key=first)))
        head = draw(st.sampled_from(_lengths(len(pairs), (0x80, 16), b"\0\xde\xdf")))
        return head + b"".join(draw(encodings(item)) for pair in pairs for item in pair)
    if isinstance(value, list | tuple):
        head = draw(st.sampled_from(_lengths(len(value), (0x90, 16), b"\0\xdc\xdd")))
        return head + b"".join(draw(encodings(item)) for item in value)
    return draw(st.sampled_from(_scalars(value)))


def _scalars(value: Any) -> list[bytes]:
    """All forms of a value without parts, the shortest first."""
    match value:
        case None | bool():
            return [{None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]]
        case int():
            return _ints(value)
        case float():
            return _floats(value)
        case str():
            data = value.encode()
            return [head + data for head in _lengths(len(data), (0xA0, 32), b"\xd9\xda\xdb")]
        case _:
            return [head + value for head in _lengths(len(value), None, b"\xc4\xc5\xc6")]


def _ints(value: int) -> list[bytes]:
    """All integer forms of a number, the shortest first."""
    forms = [struct.pack("b", value)] if -32 <= value < 128 else []
    for mark, form, low, high in (
        (0xCC, ">B", 0, 2**8), (0xD0, ">b", -(2**7), 2**7), (0xCD, ">H", 0, 2**16), (0xD1, ">h", -(2**15), 2**15),
        (0xCE, ">I", 0, 2**32), (0xD2, ">i", -(2**31), 2**31), (0xCF, ">Q", 0, 2**64), (0xD3, ">q", -(2**63), 2**63),
    ):  # fmt: skip
        if low <= value < high:
            forms.append(bytes([mark]) + struct.pack(form, value))
    return forms


def _floats(value: float) -> list[bytes]:
    """A number as float64, and as float32 where nothing is lost."""
    forms = [b"\xcb" + struct.pack(">d", value)]
    try:
        narrow = struct.pack(">f", value)
    except OverflowError:
        return forms
    return [*forms, b"\xca" + narrow] if struct.unpack(">f", narrow)[0] == value else forms


def _lengths(size: int, fix: tuple[int, int] | None, marks: bytes) -> list[bytes]:
    """All heads of a text, bytes, array or map of this size; a mark of 0 is a form that doesn't exist."""
    forms = [bytes([fix[0] | size])] if fix and size < fix[1] else []
    for mark, form, limit in zip(marks, (">B", ">H", ">I"), (2**8, 2**16, 2**32), strict=True):
        if mark and size < limit:
            forms.append(bytes([mark]) + struct.pack(form, size))
    return forms


# -- Damage ------------------------------------------------------------------------------------------------------
@st.composite
def damaged(draw: st.DrawFn, sample: bytes, other: bytes) -> bytes:
    """A valid input after one to four bit flips, cuts, insertions, length edits or splices with another one."""
    data = bytearray(sample)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "cut", "insert", "length", "splice", "drop"])):
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "length" if at < len(data):
                data[at] = (data[at] + draw(st.sampled_from([-2, -1, 1, 2, 16]))) % 256
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(_NASTY))
            case "splice":
                data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


_NASTY = [
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xd6\xff\0\0\0\0", b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xca\0\0\0\0", b"\xc1",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xd3\x80\0\0\0\0\0\0\0", b"\xa3\xed\xa0\x80", b"\x91" * 1200,
]  # fmt: skip
"""Lengths beyond the input, extension types, NaN, narrow floats, extreme numbers, a lone surrogate, deep nesting."""
