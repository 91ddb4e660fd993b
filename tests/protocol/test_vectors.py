"""The golden vectors are what the sources make today, and hold for a reader who has only the files.

The second half reads them with nothing of the sources: a MessagePack reader of a few lines, SHA-256 and Ed25519.
"""

import hmac
import importlib.util
import json
import struct
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
SUBJECTS = [
    "event", "batch", "erase", "certificate", "charter", "proof", "frontier", "record", "frame", "epoch", "ticket",
    "values", "towns", "refused",
]  # fmt: skip


def vectors(subject: str) -> dict[str, Any]:
    document = json.loads((FOLDER / f"{subject}.json").read_text(encoding="utf-8"))
    assert document["status"] == "frozen"
    return dict(document["vectors"])


def fresh() -> dict[str, str]:
    """What `make.py` makes now."""
    spec = importlib.util.spec_from_file_location("make_vectors", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.documents())


def test_the_files_are_what_the_sources_make() -> None:
    made = fresh()
    assert sorted(made) == sorted(f"{subject}.json" for subject in SUBJECTS)
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, (
            f"{name}: run tests/vectors/make.py if this is meant"
        )


# -- Without the sources -------------------------------------------------------------------------------------------
class Reader:
    """Enough of MessagePack to read the vectors into their JSON form."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))[0]

    def value(self) -> Any:
        mark = self.take(1)[0]
        if mark < 0x80 or mark >= 0xE0:
            return mark if mark < 0x80 else mark - 256
        if mark < 0xC0:
            kind, size = (mark >> 4 if mark < 0xA0 else 0xA), (mark & 0x0F if mark < 0xA0 else mark & 0x1F)
            return {0x8: self.pairs, 0x9: self.items, 0xA: self.text}[kind](size)
        return self.long_form(mark)

    def long_form(self, mark: int) -> Any:
        if mark in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[mark]
        number = self.number({
            0xC4: "B", 0xC5: "H", 0xC6: "I", 0xC7: "B", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q",
            0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q", 0xD9: "B", 0xDA: "H", 0xDC: "H", 0xDE: "H",
        }[mark])  # fmt: skip
        match mark:
            case 0xC4 | 0xC5 | 0xC6:
                value: Any = {"bytes": self.take(number).hex()}
            case 0xC7:
                value = {"ext": self.number("b"), "bytes": self.take(number).hex()}
            case 0xCB:
                value = {"float": repr(number)} if number.is_integer() else number
            case 0xD9 | 0xDA:
                value = self.text(number)
            case 0xDC:
                value = self.items(number)
            case 0xDE:
                value = self.pairs(number)
            case _:
                value = {"int": str(number)} if abs(number) >= 2**53 else number
        return value

    def items(self, size: int) -> list[Any]:
        return [self.value() for _ in range(size)]

    def pairs(self, size: int) -> dict[str, Any]:
        return {"map": {self.value(): self.value() for _ in range(size)}}

    def text(self, size: int) -> str:
        return self.take(size).decode()


def raw(field: dict[str, Any]) -> bytes:
    return bytes.fromhex(field["hex"])


def data_of(decoded: Any) -> bytes:
    return bytes.fromhex(decoded["bytes"])


def signed(key: bytes, signature: bytes, message: bytes) -> bool:
    Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    return True


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:half]), root(leaves[half:]))


def leaf(skeleton: bytes, values_hash: bytes) -> bytes:
    return sha256(b"\x00" + sha256(skeleton).digest() + values_hash).digest()


def leaves_of(envelope: list[Any]) -> list[bytes]:
    return [
        leaf(data_of(skeleton), data_of(values) if "ext" in values else sha256(data_of(values)).digest())
        for skeleton, values in envelope[3]
    ]


def packed_fields(item: Any) -> Iterator[dict[str, Any]]:
    """All fields that stand decoded beside their bytes, at any depth."""
    if isinstance(item, dict):
        if "decoded" in item:
            yield item
        else:
            for part in item.values():
                yield from packed_fields(part)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_stands_decoded_is_what_the_bytes_say(subject: str) -> None:
    for field in packed_fields(vectors(subject)):
        reader = Reader(raw(field))
        assert reader.value() == field["decoded"]
        assert reader.at == len(reader.data)


@pytest.mark.parametrize("name", vectors("event"))
def test_an_event(name: str) -> None:
    event = vectors("event")[name]
    assert raw(event["values_hash"]) == sha256(raw(event["values"])).digest()
    assert raw(event["leaf"]) == leaf(raw(event["skeleton"]), raw(event["values_hash"]))
    changes, values = event["skeleton"]["decoded"][5], event["values"]["decoded"]
    assert len(values) == 1 + sum(not removes for _, _, removes in changes)
    assert len(data_of(values[0])) == 16


@pytest.mark.parametrize("name", vectors("batch"))
def test_a_batch(name: str) -> None:
    batch = vectors("batch")[name]
    header, envelope = batch["header"]["decoded"], batch["batch"]["decoded"]
    key = Ed25519PrivateKey.from_private_bytes(raw(batch["seed"]))
    assert key.public_key().public_bytes_raw() == data_of(header[2])
    assert key.sign(b"moot/batch/1\0" + raw(batch["header"])) == raw(batch["signature"]) == data_of(envelope[2])
    assert raw(batch["id"]) == sha256(raw(batch["header"])).digest()
    leaves = leaves_of(envelope)
    assert [each.hex() for each in leaves] == batch["leaves"]
    assert root(leaves) == data_of(header[6])
    assert header[4] == len(leaves)
    assert Reader(data_of(envelope[3][-1][0])).value()[1] == header[8]


def test_an_erasure_and_the_batch_without_what_it_names() -> None:
    (vector,) = vectors("erase").values()
    ((erasing, _),) = vector["batch"]["decoded"][3]
    _, _, _, kind, entity, changes = Reader(data_of(erasing)).value()
    _, header, signature, events = vector["before"]["decoded"]
    author, first = Reader(data_of(header)).value()[2:4]
    assert (kind, entity) == ("erase", urlsafe_b64encode(data_of(author)).decode().rstrip("="))
    names = {f"{n}.{each[:8].hex()}" for n, each in enumerate(leaves_of([0, 0, 0, events]), first)}
    erased = {key for key, over, removes in changes if not over and not removes}
    assert len(changes) == len(erased) < len(names)
    assert erased < names
    after = vector["after"]["decoded"]
    assert after[1:3] == [header, signature]
    assert leaves_of(after) == leaves_of([0, 0, 0, events]), "what is signed stays"
    for before, left, each in zip(events, after[3], leaves_of(after), strict=True):
        n = first + events.index(before)
        assert ("ext" in left[1]) == (f"{n}.{each[:8].hex()}" in erased)
        assert left == before or (left[0] == before[0] and data_of(left[1]) == sha256(data_of(before[1])).digest())


def test_a_town_s_charter_and_the_proof_of_its_invite() -> None:
    proof, *batches = vectors("charter").values()
    invite = Ed25519PrivateKey.from_private_bytes(raw(proof["seed"])).public_key().public_bytes_raw()
    assert signed(invite, raw(proof["signature"]), b"moot/charter/1\0" + raw(proof["signed"]))
    plane, town = (data_of(each) for each in proof["signed"]["decoded"])
    assert plane == raw(proof["plane"])
    for batch in batches:
        author = Ed25519PrivateKey.from_private_bytes(raw(batch["seed"])).public_key().public_bytes_raw()
        assert data_of(batch["header"]["decoded"][2]) == author
        assert signed(author, raw(batch["signature"]), b"moot/batch/1\0" + raw(batch["header"]))
    admitting, opened, proved, removed = (
        [
            (skeleton["decoded"], values["decoded"][1])
            for skeleton, values in zip(each["skeletons"], each["values"], strict=True)
        ]
        for each in batches
    )
    name = urlsafe_b64encode(town).decode().rstrip("=")
    assert [(skeleton[3], value[1]) for skeleton, value in admitting] == [
        ("invite", {"bytes": "00" * 32}),
        ("admission", "admin"),
    ]
    assert [skeleton[3:5] for skeleton, _ in (*opened, *proved)] == [["charter", name]] * 2
    assert [value for _, value in opened] == [["hilltown"]]
    shown = [{"bytes": invite.hex()}, {"bytes": raw(proof["signature"]).hex()}]
    assert [value for _, value in proved] == [["hilltown", *shown]]
    ended = sha256(raw(batches[2]["header"])).hexdigest()
    ((skeleton, value),) = removed
    assert skeleton[3:] == ["end", name, [["end", [], False]]]
    assert value == [1, {"bytes": ended}, {"bytes": town.hex()}]


def test_a_certificate() -> None:
    (vector,) = vectors("certificate").values()
    body, genesis = vector["body"]["decoded"], vector["genesis"]["decoded"]
    town = data_of(genesis[2])
    assert raw(vector["plane"]) == sha256(b"moot/plane/1\0" + raw(vector["genesis"])).digest()[:16] == data_of(body[1])
    assert town == data_of(body[2]) == raw(vector["signer"])
    assert signed(town, raw(vector["signature"]), b"moot/cert/1\0" + raw(vector["body"]))


def reached_root(skeleton: Any, values: Any, index: int, path: list[Any], header: Any, signature: Any) -> list[Any]:
    """The header whose root the path of an event leads to, and which its author signed."""
    head = Reader(data_of(header)).value()
    reached = leaf(data_of(skeleton), data_of(values) if "ext" in values else sha256(data_of(values)).digest())
    width, steps = head[4], iter(path)
    while width > 1:
        if index ^ 1 < width:
            sibling = data_of(next(steps))
            reached = node(sibling, reached) if index % 2 else node(reached, sibling)
        index, width = index // 2, (width + 1) // 2
    assert list(steps) == []
    assert reached == data_of(head[6])
    assert signed(data_of(head[2]), data_of(signature), b"moot/batch/1\0" + data_of(header))
    return list(head)


@pytest.mark.parametrize("name", vectors("proof"))
def test_a_proof(name: str) -> None:
    vector = vectors("proof")[name]
    _, skeleton, values, index, path, header, signature, certificate, genesis, further = vector["proof"]["decoded"]
    founding = Reader(data_of(genesis)).value()
    assert leaf(data_of(skeleton), sha256(data_of(values)).digest()) == raw(vector["leaf"])
    head = reached_root(skeleton, values, index, path, header, signature)
    assert data_of(head[6]) == raw(vector["root"])
    assert data_of(head[1]) == sha256(b"moot/plane/1\0" + data_of(genesis)).digest()[:16]
    if not certificate:
        assert head[2] == founding[2]
        return
    body = Reader(data_of(certificate[0])).value()
    assert (body[1], body[2], body[3]) == (head[1], founding[2], head[2])
    assert signed(data_of(certificate[2]), data_of(certificate[1]), b"moot/cert/1\0" + data_of(certificate[0]))
    assert len(further) == (certificate[2] != founding[2])
    for made in further:
        charter = reached_root(*made)
        assert (charter[1], charter[2]) == (head[1], founding[2])
        kind, entity, changes = Reader(data_of(made[0])).value()[3:]
        invited = urlsafe_b64encode(data_of(certificate[2])).decode().rstrip("=")
        assert (kind, entity, [change[0] for change in changes]) == ("invite", invited, ["invite"])
        assert Reader(data_of(made[1])).value()[1][:2] == ["writer", founding[2]]


@pytest.mark.parametrize("name", vectors("towns"))
def test_a_proof_through_towns_leads_from_one_signature_to_the_next(name: str) -> None:
    vector = vectors("towns")[name]
    *signed_event, certificate, genesis, further = vector["proof"]["decoded"][1:]
    tops = {data_of(key) for key in Reader(data_of(genesis)).value()[2:4]}
    head, *steps = (reached_root(*each) for each in (signed_event, *further))
    plane = sha256(b"moot/plane/1\0" + data_of(genesis)).digest()[:16]
    assert {data_of(each[1]) for each in (head, *steps)} == {plane}
    town = data_of(head[2])
    if certificate:
        body = Reader(data_of(certificate[0])).value()
        assert signed(data_of(certificate[2]), data_of(certificate[1]), b"moot/cert/1\0" + data_of(certificate[0]))
        assert (data_of(body[1]), data_of(body[3])) == (plane, town)
        town = data_of(body[2])
    writers = [town, *(data_of(each[2]) for each in steps)]
    assert writers[-1] in tops
    above = [key for at, key in enumerate(writers) if key not in writers[:at]]
    assert [key.hex() for key in above] == [vector["shows"]["town"], *vector["shows"]["let_in_by"]]


def test_a_frontier() -> None:
    (vector,) = vectors("frontier").values()
    body = vector["body"]["decoded"]
    entries = raw(vector["body"])[-len(pack_entries(body[8])) :]
    assert entries == pack_entries(body[8])
    assert raw(vector["summary"]) == sha256(entries).digest() == data_of(body[6])
    assert signed(data_of(body[2]), raw(vector["signature"]), b"moot/frontier/1\0" + raw(vector["body"]))
    (record,) = vectors("record").values()
    assert data_of(body[5]) == raw(record["digest"])


def pack_entries(entries: list[Any]) -> bytes:
    """A frontier of up to 15 authors with small numbers."""
    return bytes([0x90 | len(entries)]) + b"".join(
        b"\x94\xc4\x20" + data_of(author) + bytes([n]) + b"\xc4\x20" + data_of(head) + bytes([forked_at])
        for author, n, head, forked_at in entries
    )


def short_text(text: str) -> bytes:
    data = text.encode()
    return (bytes([0xA0 | len(data)]) if len(data) < 32 else bytes([0xD9, len(data)])) + data


def test_a_record_and_its_digest() -> None:
    (vector,) = vectors("record").values()
    writes, over = set(), set()
    for batch in vector["batches"]:
        envelope = Reader(bytes.fromhex(batch)).value()
        header = Reader(data_of(envelope[1])).value()
        authors = [header[2], *header[7]]
        for n, ((skeleton, _), each) in enumerate(zip(envelope[3], leaves_of(envelope), strict=True), header[3]):
            _, _, _, kind, entity, changes = Reader(data_of(skeleton)).value()
            for key, superseded, removes in changes:
                place = (kind, entity, key)
                over |= {(place, authors[index]["bytes"], m, leaf8["bytes"]) for index, m, leaf8 in superseded}
                writes |= set() if removes else {(place, authors[0]["bytes"], n, each.hex())}
    live = {write for write in writes if (*write[:3], write[3][:16]) not in over}
    listed = {((e["kind"], e["entity"], e["key"]), e["author"], e["n"], e["leaf"]) for e in vector["live"]}
    assert live == listed
    total = 0
    for (kind, entity, key), author, n, each_leaf in live:
        packed = b"\x95" + short_text(kind) + short_text(entity)
        packed += b"\xc4\x20" + bytes.fromhex(author) + bytes([n]) + b"\xc4\x20" + bytes.fromhex(each_leaf)
        factor = int.from_bytes(sha256(key.encode()).digest(), "big") | 1
        total += int.from_bytes(sha256(packed).digest(), "big") * factor
    assert raw(vector["digest"]) == (total % 2**256).to_bytes(32, "big")


def test_the_record_holds_both_of_two_concurrent_statuses_and_not_the_label_that_was_removed() -> None:
    (vector,) = vectors("record").values()
    shown = {(each["key"], json.dumps(each["value"])) for each in vector["live"]}
    assert {("status", '"closed"'), ("status", '"blocked"'), ("labels", '"stone"')} <= shown
    assert not shown & {("status", '"open"'), ("labels", '"water"')}


# -- What is sealed --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", vectors("frame"))
def test_a_frame(name: str) -> None:
    vector = vectors("frame")[name]
    topic_key, key = raw(vector["topic_key"]), raw(vector["plane_key"])
    _, topic, epoch, nonce, ciphertext = (data_of(part) if isinstance(part, dict) else part
                                          for part in vector["frame"]["decoded"])  # fmt: skip
    assert topic == raw(vector["topic"]) == named(topic_key, b"moot/topic/1\0" + raw(vector["plane"]))
    assert raw(vector["sender"]) == named(topic_key, b"moot/sender/1\0" + raw(vector["author"]))
    assert epoch == raw(vector["epoch"]) == sha256(b"moot/epoch/1\0" + key).digest()[:8]
    head = b"\x94\x01\xc4\x10" + topic + b"\xc4\x08" + epoch + b"\xc4\x0c" + nonce
    assert raw(vector["bound"]) == b"moot/frame/1\0" + head
    plaintext = AESGCMSIV(key).decrypt(nonce, ciphertext, raw(vector["bound"]))
    assert plaintext == raw(vector["plaintext"])
    end = 5 + int.from_bytes(plaintext[1:5], "big")
    body = plaintext[5:end]
    assert (zstd.decompress(body) if plaintext[0] else body) == raw(vector["message"])
    assert plaintext[end:] == bytes(len(plaintext) - end)
    assert len(plaintext) % 2 ** (len(plaintext).bit_length() - 1 - (len(plaintext).bit_length() - 1).bit_length()) == 0


def named(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:16]


def test_an_epoch() -> None:
    (vector,) = vectors("epoch").values()
    plane, key, epoch = raw(vector["plane"]), raw(vector["plane_key"]), raw(vector["epoch"])
    assert vector["entity"]["text"] == epoch.hex() == sha256(b"moot/epoch/1\0" + key).hexdigest()[:16]
    sealed, wraps = vector["value"]["decoded"]
    bound = b"moot/predecessors/1\0" + plane + epoch
    assert AESGCMSIV(key).decrypt(bytes(12), data_of(sealed), bound) == raw(vector["predecessor"])
    for (_, wrap), private in zip(wraps, vector["hpke_private"], strict=True):
        assert hpke_opened(raw(private), data_of(wrap), b"moot/wrap/1\0" + plane + epoch) == key
    recipients = [data_of(recipient) for recipient, _ in wraps]
    assert recipients == sorted(recipients)


def hpke_opened(private: bytes, wrap: bytes, info: bytes) -> bytes:
    """RFC 9180, base mode, in one breath: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""

    def extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")

    def expand(suite: bytes, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        message = struct.pack(">H", length) + b"HPKE-v1" + suite + label + context
        return hmac.digest(secret, message + b"\1", "sha256")[:length]

    key, enc = X25519PrivateKey.from_private_bytes(private), wrap[:32]
    shared = key.exchange(X25519PublicKey.from_public_bytes(enc))
    kem, hpke = b"KEM" + struct.pack(">H", 0x20), b"HPKE" + struct.pack(">3H", 0x20, 1, 2)
    pair = enc + key.public_key().public_bytes_raw()
    shared = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", pair, 32)
    context = b"\0" + extract(hpke, b"", b"psk_id_hash", b"") + extract(hpke, b"", b"info_hash", info)
    secret = extract(hpke, shared, b"secret", b"")
    nonce = expand(hpke, secret, b"base_nonce", context, 12)
    return AESGCM(expand(hpke, secret, b"key", context, 32)).decrypt(nonce, wrap[32:], b"")


def test_a_ticket() -> None:
    (vector,) = vectors("ticket").values()
    body, text = raw(vector["body"]), vector["ticket"]["text"]
    assert raw(vector["check"]) == sha256(b"moot/ticket/1\0" + body).digest()[:5]
    data = struct.pack(">H", len(body)) + body + raw(vector["check"])
    bits = "".join(f"{byte:08b}" for byte in data) + "0" * (-8 * len(data) % 5)
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    assert text == "moot1" + "".join(alphabet[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5))
    seed = data_of(vector["body"]["decoded"][9])
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() == raw(vector["invite_key"])
    assert raw(vector["invite_hpke_private"]) == sha256(b"moot/invite-hpke/1\0" + seed).digest()
