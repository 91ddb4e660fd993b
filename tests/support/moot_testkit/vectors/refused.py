"""Proofs that break one rule each, signed by whoever has the keys for it, and proofs at the limit of a rule."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec.msgpack import Ext

from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN, CERTIFICATE_DOMAIN
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_testkit.vectors import odd_keys
from moot_testkit.vectors.form import plain
from moot_testkit.vectors.proof_parts import (
    CERTIFICATE,
    EVENT,
    GENESIS,
    HILL_REPLICA,
    HILL_SHOWN,
    HILLTOWN,
    HLC,
    INVITE,
    MILLTOWN,
    OTHER,
    RECOVERY,
    REPLICA,
    SEEDS,
    SHOWN,
    TOWN,
    TOWN_INVITE,
    Change,
    Parts,
    admission,
    certificate,
    first,
    genesis,
    invite,
    of_header,
    of_hill,
    of_invite,
    of_skeleton,
    opened,
    proof,
    said,
    signed,
    skeleton,
)

FULL: Final = 2**64 - 1
DOT: Final = [0, 1, b"\x03" * 8]


class Case(NamedTuple):
    """A proof, and what is to be made of it."""

    name: str
    proof: bytes
    code: str = ""
    """Of the refusal; empty where the proof holds."""
    link: str = ""
    """The first link that doesn't hold; empty where a part is malformed before any link is looked at."""


def replaced(parts: Parts, **other: Any) -> Parts:
    """A `signed` with parts of it exchanged, without signing it again."""
    names = ("skeleton", "values", "index", "path", "header", "signature")
    return [*(dict(zip(names, parts, strict=True)) | other).values()]


def of_bytes() -> Iterator[Case]:
    """How the bytes of a proof are read."""
    data = proof()
    yield Case("as it should be", data)
    yield Case("a byte behind the proof", data + b"\0", "bad_structure")
    yield Case("another version", b"\x9a\x02" + data[2:], "bad_version")
    yield Case("another version of another shape", encode([2, "anything"]), "bad_version")
    yield Case("an element too many", encode([1, *SHOWN, CERTIFICATE, GENESIS, [], 1]), "not_canonical")
    at = data.index(encode(SHOWN[1])) + len(encode(SHOWN[1]))
    yield Case("an index that is not in its shortest form", data[:at] + b"\xcc\0" + data[at + 1 :], "not_canonical")
    yield Case("a certificate of two parts", proof(certified=CERTIFICATE[:2]), "bad_structure")
    yield Case("absent values of another extension type", proof(replaced(SHOWN, values=Ext(2, OTHER))), "bad_structure")
    yield Case("absent values whose hash is short", proof(replaced(SHOWN, values=Ext(1, OTHER[1:]))), "bad_structure")
    yield Case("a signature of 63 bytes", proof(replaced(SHOWN, signature=SHOWN[5][1:])), "bad_structure")
    bare = [b"", b"", 0, [], b"", bytes(64)]
    yield Case("more than 64 steps", proof(further=[bare] * 65), "too_large")


def of_headers() -> Iterator[Case]:
    """What a header may be."""
    yield Case("event numbers from 0", of_header(first=0), "bad_structure")
    yield Case("no event", of_header(count=0), "bad_structure")
    yield Case("257 events", of_header(count=257), "bad_structure")
    yield Case("the last number there is", of_header(first=FULL - 1))
    yield Case("a number beyond the last", of_header(first=FULL), "bad_structure")
    yield Case("a second batch without a predecessor", of_header(prev=ZEROS), "bad_structure")
    yield Case("a first batch with a predecessor", of_header(first=1), "bad_structure")
    yield Case("further authors in any order", of_header(authors=[b"\x02" * 32, b"\x01" * 32]))
    yield Case("a further author twice", of_header(authors=[b"\x02" * 32] * 2), "bad_structure")
    yield Case("its own author among the further ones", of_header(authors=[REPLICA.public]), "bad_structure")
    yield Case("a last time of 0", of_header(hlc_last=0), "bad_structure")


def of_skeletons() -> Iterator[Case]:
    """What a skeleton may be."""
    yield Case("an actor of 255 bytes", of_skeleton(actor="a" * 255))
    yield Case("an actor of 256 bytes in 128 characters", of_skeleton(actor="ü" * 128), "bad_structure")
    yield Case("an actor with control characters", of_skeleton(actor="a\n\0\x1b"))
    yield Case("a kind with a space", of_skeleton(kind="an issue"), "bad_structure")
    yield Case("a kind of 33 bytes", of_skeleton(kind="a" * 33), "bad_structure")
    yield Case("a kind beyond ASCII", of_skeleton(kind="ü"), "bad_structure")
    yield Case("an entity of 192 bytes with spaces", of_skeleton(entity="ü " * 64))
    yield Case("an entity of 193 bytes", of_skeleton(entity="a" * 193), "bad_structure")
    yield Case("an empty entity", of_skeleton(entity=""), "bad_structure")
    yield Case("an entity with U+0085", of_skeleton(entity="a\x85"), "bad_structure")
    yield Case("an entity with U+2028", of_skeleton(entity="a\u2028"))
    yield Case("no change", of_skeleton(()), "bad_structure")
    yield Case("keys that descend", of_skeleton((("b", [], True), ("a", [], True))), "bad_structure")
    yield Case("a key twice", of_skeleton((("a", [], True), ("a", [], True))), "bad_structure")
    yield Case("a key beyond ASCII", of_skeleton((("ü", [], True),)), "bad_structure")
    yield Case("a time of 0", of_skeleton(hlc=0), "bad_structure")
    yield Case("a write superseded twice, and one to come", of_skeleton((("a", [DOT, DOT, [0, 9, DOT[2]]], True),)))
    for name, dot in {
        "by an author who isn't in the table": [1, *DOT[1:]],
        "of number 0": [0, 0, DOT[2]],
        "by 7 bytes": [*DOT[:2], b"7 bytes"],
    }.items():
        yield Case(f"a write superseded {name}", of_skeleton((("a", [dot], True),)), "bad_structure")
    yield Case("a skeleton of another version", of_skeleton(version=2), "bad_version")
    with_byte = skeleton() + b"\0", EVENT[1]
    yield Case("a byte behind a skeleton", proof(signed(REPLICA, with_byte)), "bad_structure")


def of_paths() -> Iterator[Case]:
    """How an event stands in its batch."""
    two = signed(REPLICA, EVENT, lambda leaf: [OTHER, leaf])
    yield Case("the second of two events", proof(two))
    yield Case("the path of the other event", proof(replaced(two, index=0)), "bad_hash", "path")
    yield Case("an index beyond the batch", proof(replaced(two, index=2)), "bad_hash", "path")
    yield Case("an index beyond a batch of one event", proof(replaced(SHOWN, index=1)), "bad_hash", "path")
    yield Case("a path that is cut", proof(replaced(two, path=[])), "bad_hash", "path")
    yield Case("a path that goes on", proof(replaced(two, path=[OTHER, OTHER])), "bad_hash", "path")
    last = signed(REPLICA, EVENT, hlc_last=HLC + 1)
    yield Case("the last event, at another time than the last", proof(last), "bad_structure", "path")
    earlier = signed(REPLICA, EVENT, lambda leaf: [leaf, OTHER, OTHER], hlc_last=HLC + 2)
    yield Case("the first of three events, two ticks before the last", proof(earlier))
    earlier = signed(REPLICA, EVENT, lambda leaf: [leaf, OTHER, OTHER], hlc_last=HLC + 1)
    yield Case("the first of three events, one tick before the last", proof(earlier), "bad_structure", "path")


def of_signatures() -> Iterator[Case]:
    """What is a signature."""
    header, signature = SHOWN[4:]
    message = BATCH_DOMAIN + header
    odd = {
        "with the order added to S": odd_keys.with_larger_s(signature),
        "with a point of order 8 added to R": odd_keys.with_torsion_in_r(SEEDS["replica"], message, signature),
        "that holds with the cofactor only": odd_keys.with_cofactor_only(SEEDS["replica"], REPLICA.public, message),
        "by another key": TOWN.sign(message),
        "over a certificate's domain": REPLICA.sign(CERTIFICATE_DOMAIN + header),
    }
    for name, each in odd.items():
        yield Case(f"a signature {name}", proof(replaced(SHOWN, signature=each)), "bad_signature", "batch")


def of_geneses() -> Iterator[Case]:
    """What a plane may be named after."""
    yield Case("the genesis of another plane", proof(founding=genesis(name="milltown")), "wrong_plane", "genesis")
    for name, code, other in (
        ("of an unknown kind", "bad_structure", {"kind": "x"}),
        ("whose name has U+007F", "bad_structure", {"name": "a\x7f"}),
        ("whose nonce is short", "bad_structure", {"nonce": bytes(15)}),
        ("whose keys are one", "bad_key", {"recovery": TOWN.public}),
        ("whose town key is the neutral element", "bad_key", {"town": odd_keys.SMALL.public}),
        ("whose recovery key is of mixed order", "bad_key", {"recovery": odd_keys.MIXED.public}),
    ):
        yield Case(f"a genesis {name}", proof(founding=genesis(**other)), code)


def of_certificates() -> Iterator[Case]:
    """Whom a certificate makes a replica."""
    yield Case("no certificate, of an author who is no town", proof(certified=[]), "bad_key", "certificate")
    for name, code, made in (
        ("for another plane", "wrong_plane", certificate(plane=bytes(16))),
        ("for another replica", "bad_key", certificate(subject=HILL_REPLICA.public)),
        ("that its signer didn't sign", "bad_signature", [*CERTIFICATE[:2], HILLTOWN.public]),
        ("with an unknown role", "bad_structure", certificate(role="owner")),
        ("with an HPKE key of 31 bytes", "bad_key", certificate(hpke=bytes(31))),
        ("of another version", "bad_version", certificate(version=2)),
    ):
        yield Case(f"a certificate {name}", proof(certified=made), code, "certificate")
    own = certificate(HILLTOWN, town=HILLTOWN.public, subject=HILLTOWN.public)
    steps = [admission(TOWN, HILLTOWN.public)]
    yield Case(
        "a town as its own replica", proof(signed(HILLTOWN, EVENT), own, further=steps), "bad_key", "certificate"
    )
    founder = certificate(HILLTOWN, town=HILLTOWN.public, subject=TOWN.public)
    steps = [admission(RECOVERY, HILLTOWN.public)]
    yield Case("the founder as another town's replica", proof(signed(TOWN, EVENT), founder, further=steps),
               "bad_key", "certificate")  # fmt: skip
    of_recovery = certificate(RECOVERY, town=RECOVERY.public)
    yield Case("a replica of the recovery key", proof(certified=of_recovery), "bad_key", "town")
    yield from _first_events()


def _first_events() -> Iterator[Case]:
    reader = certificate(role="reader")
    own = first(REPLICA, said("certificate", REPLICA.public, CERTIFICATE))
    yield Case("event 1, the certificate", proof(own))
    yield Case("event 1 that is something else", proof(first(REPLICA, EVENT)), "bad_key", "certificate")
    yield Case("event 1 with another certificate", proof(own, reader), "bad_key", "certificate")
    other = first(REPLICA, said("certificate", REPLICA.public, CERTIFICATE, ("x", [], False, 1)))
    yield Case("event 1 with a further key", proof(other), "bad_key", "certificate")
    elsewhere = said("certificate", HILL_REPLICA.public, CERTIFICATE)
    yield Case("event 1 about another key", proof(first(REPLICA, elsewhere)), "bad_key", "certificate")
    yield Case("event 1 of a reader", proof(first(REPLICA, said("certificate", REPLICA.public, reader)), reader))
    yield Case("event 2 of a reader", proof(certified=reader), "denied", "role")


def of_invites() -> Iterator[Case]:
    """Which invite lets in a replica."""
    key = INVITE.public
    yield Case("an invite", of_invite(signed(TOWN, said("invite", key, invite()))))
    yield Case("an invite that isn't shown", proof(certified=certificate(INVITE)), "bad_key", "invite")
    yield Case(
        "an invite for readers", of_invite(signed(TOWN, said("invite", key, invite("reader")))), "denied", "role"
    )
    yield Case(
        "an invite that expires before 2**48", of_invite(signed(TOWN, said("invite", key, invite(expires=2**48 - 1))))
    )
    yield Case("an invite beside a key that invites don't have",
               of_invite(signed(TOWN, said("invite", key, invite(), ("x", [], False, 1)))))  # fmt: skip
    close: Change = ("close", [], False, [b"\x01" * 32, b"\x02" * 32])
    yield Case("an invite beside its close", of_invite(signed(TOWN, said("invite", key, invite(), close))))
    odd: Change = ("close", [], False, [b"\x02" * 32, b"\x01" * 32])
    for name, made in {
        "for admins": signed(TOWN, said("invite", key, invite("admin"))),
        "for another town": signed(TOWN, said("invite", key, invite(town=HILLTOWN.public))),
        "for any town": signed(TOWN, said("invite", key, invite(town=ZEROS))),
        "of another key": signed(TOWN, said("invite", TOWN_INVITE.public, invite())),
        "in another town's charter": signed(HILLTOWN, said("invite", key, invite())),
        "that expires at 2**48": signed(TOWN, said("invite", key, invite(expires=2**48))),
        "that expires at a float": signed(TOWN, said("invite", key, invite(expires=1.0))),
        "beside a close that doesn't ascend": signed(TOWN, said("invite", key, invite(), odd)),
        "without its values": signed(TOWN, said("invite", key, invite(), absent=True)),
    }.items():
        yield Case(f"an invite {name}", of_invite(made), "bad_key", "invite")
    there = signed(TOWN, said("invite", key, invite()), plane=bytes(16))
    yield Case("an invite on another plane", of_invite(there), "wrong_plane", "invite")
    unsigned = replaced(signed(TOWN, said("invite", key, invite())), signature=bytes(64))
    yield Case("an invite that nobody signed", of_invite(unsigned), "bad_signature", "invite")
    yield Case("a step that nothing rests on", proof(further=[there]), "bad_structure")


def of_towns() -> Iterator[Case]:
    """Who lets in a town."""
    hill, mill = HILLTOWN.public, MILLTOWN.public
    yield Case("a town that was let in", of_hill(admission(TOWN, hill)))
    yield Case("a town that the recovery key let in", of_hill(admission(RECOVERY, hill)))
    more = said("admission", hill, ["hilltown", "writer"], ("x", [], True))
    yield Case("an admission beside a key that admissions don't have", of_hill(signed(TOWN, more)))
    yield Case("a town that nobody let in", of_hill(), "bad_key", "town")
    yield Case("a town that was let in as a reader", of_hill(admission(TOWN, hill, "reader")), "denied", "role")
    for name, steps in {
        "let in another": [admission(TOWN, mill)],
        "that let in itself": [admission(HILLTOWN, hill, "admin")],
        "let in under no name": [admission(TOWN, hill, name="")],
        "let in without values": [signed(TOWN, said("admission", hill, ["hilltown", "writer"], absent=True))],
        "in a circle": [admission(MILLTOWN, hill, "admin"), admission(HILLTOWN, mill, "admin"), admission(TOWN, hill)],
    }.items():
        yield Case(f"a town {name}", of_hill(*steps), "bad_key", "admission")
    yield Case(
        "a town let in by a writer", of_hill(admission(MILLTOWN, hill), admission(TOWN, mill)), "denied", "admission"
    )
    yield Case(
        "a town let in on another plane", of_hill(admission(TOWN, hill, plane=bytes(16))), "wrong_plane", "admission"
    )
    yield Case("a town let in twice", of_hill(admission(TOWN, hill), admission(TOWN, hill)), "bad_structure")
    above = certificate(HILLTOWN, town=hill, subject=mill)
    steps = [admission(MILLTOWN, hill), admission(TOWN, mill, "admin")]
    yield Case("a replica whose key let in its town", proof(signed(MILLTOWN, EVENT), above, further=steps),
               "bad_key", "certificate")  # fmt: skip
    yield from _towns_with_invites()


def _towns_with_invites() -> Iterator[Case]:
    key, hill = TOWN_INVITE.public, HILLTOWN.public
    open_to_all = signed(TOWN, said("invite", key, invite(town=ZEROS)))
    came = first(HILLTOWN, opened(HILLTOWN, TOWN_INVITE))
    yield Case("a town that came with an invite", of_hill(came, open_to_all))
    yield Case(
        "a town that came with an invite for it", of_hill(came, signed(TOWN, said("invite", key, invite(town=hill))))
    )
    stolen = first(HILLTOWN, opened(HILLTOWN, TOWN_INVITE, town=MILLTOWN.public))
    keys: tuple[Change, ...] = (("charter", [], False), ("x", [], True))
    with_more = skeleton(keys, kind="charter", entity=key_text(hill)), opened(HILLTOWN, TOWN_INVITE)[1]
    for name, steps in {
        "for another": [came, signed(TOWN, said("invite", key, invite(town=MILLTOWN.public)))],
        "for replicas": [came, signed(TOWN, said("invite", key, invite(town=TOWN.public)))],
        "of the recovery key": [came, signed(RECOVERY, said("invite", key, invite(town=ZEROS)))],
        "of its own": [came, signed(HILLTOWN, said("invite", key, invite(town=ZEROS)))],
        "that isn't shown": [came],
        "proved for another town": [stolen, open_to_all],
        "proved for another plane": [first(HILLTOWN, opened(HILLTOWN, TOWN_INVITE, plane=bytes(16))), open_to_all],
        "proved by its second event": [signed(HILLTOWN, opened(HILLTOWN, TOWN_INVITE)), open_to_all],
        "proved beside a further key": [first(HILLTOWN, with_more), open_to_all],
        "that it doesn't prove": [first(HILLTOWN, said("charter", hill, ["hilltown"])), open_to_all],
    }.items():
        yield Case(f"a town that came with an invite {name}", of_hill(*steps), "bad_key", "admission")
    by_writer = [came, signed(MILLTOWN, said("invite", key, invite(town=ZEROS))), admission(TOWN, MILLTOWN.public)]
    yield Case("a town that came with an invite of a writer", of_hill(*by_writer), "denied", "admission")


def of_odd_keys() -> Iterator[Case]:
    """Keys that nobody may certify, at every place where one may stand."""
    for name, odd in {
        "the neutral element": odd_keys.SMALL,
        "the neutral element, not in its canonical encoding": odd_keys.SMALL_NOT_CANONICAL,
        "the neutral element with a sign": odd_keys.SMALL_WITH_SIGN,
        "a key of mixed order": odd_keys.MIXED,
    }.items():
        replica = proof(signed(odd, EVENT), certificate(subject=odd.public))
        yield Case(f"a replica: {name}", replica, "bad_key", "certificate")
        between = of_hill(admission(odd, HILLTOWN.public), admission(TOWN, odd.public, "admin"))
        yield Case(f"an admin between: {name}", between, "bad_key", "admission")
    odd = odd_keys.MIXED
    charter = proof(signed(odd, EVENT), [], further=[admission(TOWN, odd.public)])
    yield Case("a charter: a key of mixed order", charter, "bad_key", "admission")
    town = proof(HILL_SHOWN, certificate(odd, town=odd.public, subject=HILL_REPLICA.public),
                 further=[admission(TOWN, odd.public)])  # fmt: skip
    yield Case("a certificate's town: a key of mixed order", town, "bad_key", "certificate")
    invited = proof(SHOWN, certificate(odd), further=[signed(TOWN, said("invite", odd.public, invite()))])
    yield Case("a replica's invite: a key of mixed order", invited, "bad_key", "certificate")
    steps = [first(HILLTOWN, opened(HILLTOWN, odd)), signed(TOWN, said("invite", odd.public, invite(town=ZEROS)))]
    yield Case("a town's invite: a key of mixed order", of_hill(*steps), "bad_key", "admission")


def cases() -> Iterator[Case]:
    """All of them, in the order in which a proof is verified."""
    yield from of_bytes()
    yield from of_geneses()
    yield from of_headers()
    yield from of_skeletons()
    yield from of_paths()
    yield from of_signatures()
    yield from of_certificates()
    yield from of_invites()
    yield from of_towns()
    yield from of_odd_keys()


def vectors() -> dict[str, Any]:
    """Proofs that hold or break one rule of docs/proofs.md; refused ones with code and first link that doesn't hold."""
    found: dict[str, Any] = {}
    for name, data, code, link in cases():
        verdict = {"holds": False, "code": code, "link": link or None} if code else {"holds": True}
        if name in found:
            raise ValueError(name)
        found[name] = {"proof": plain("as in proof.json", data)} | verdict
    return found
