"""Makes the golden vectors beside this file: `python tests/vectors/make.py` writes them anew.

Everything is fixed, seeds, salts and times included, so the bytes are the same wherever it runs. What the subjects
are made of stands in `tests/support/moot_testkit/vectors/`.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.msgpack import decode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from moot_protocol.codec import encode
from moot_protocol.exchange.frontier import Entry, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS, encode_batch
from moot_protocol.log.event import Event
from moot_protocol.merge.digest import Digest, place_prefix, place_suffix, term
from moot_protocol.merge.fold import Placed, fold
from moot_protocol.sealing import siv
from moot_protocol.sealing.epoch import build_epoch, epoch_from_value, open_epoch
from moot_protocol.sealing.frame import FRAME_DOMAIN, epoch_id, open_frame, padded, seal
from moot_protocol.sealing.topics import sender_of, topic_of
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.proof import build_proof
from moot_protocol.trust.ticket import (
    TICKET_DOMAIN,
    Remote,
    RemoteKind,
    Ticket,
    encode_ticket,
    invite_hpke_private,
)
from moot_testkit.vectors import refused, towns, values
from moot_testkit.vectors.form import packed, plain, shown
from moot_testkit.vectors.scene import (
    BY_ONE,
    BY_TWO,
    CHARTER,
    CREATED,
    ERASED,
    GENESIS,
    GUEST,
    GUEST_INVITE_SEED,
    GUEST_OPENED,
    GUEST_PROVED,
    GUEST_REMOVED,
    GUESTS_ADMITTED,
    INVITE,
    INVITE_SEED,
    INVITED,
    ONE,
    OPENING_ONE,
    OPENING_THREE,
    OPENING_TWO,
    PLANE,
    PROOF,
    SEEDS,
    THREE,
    TOWN,
    TWO,
    certified,
)

FOLDER = Path(__file__).parent


# -- What is sealed ----------------------------------------------------------------------------------------------
TOPIC_KEY, OLD_KEY, PLANE_KEY = b"\x08" * 32, b"\x09" * 32, b"\x0a" * 32
TOPIC = topic_of(TOPIC_KEY, PLANE)
FRAME_NONCE = bytes(range(12))
MESSAGES = {"as it is": b"Mend the bridge.", "compressed": b"Mend the bridge. " * 5}
COMPRESSED = bytes.fromhex("28b52ffd2055c50000884d656e6420746865206272696467652e20010083d0b904")
"""The second message as one version of zstd made it: others may make something else, and all must read it."""
HPKE_PRIVATE = {ONE.public: b"\x0b" * 32, TWO.public: b"\x0c" * 32}
WRAPS = {
    ONE.public: bytes.fromhex(
        "8f8f90a850e2072e30bce4ab6a3b247319b4ceea205d307f5da5954856b2733f04a92beb4e394dd1"
        "e534695613a3313e212a26628872c32fc24b5fc50d28315c4d6d81296a146e04e29076bf00ab4cb0"
    ),
    TWO.public: bytes.fromhex(
        "3e848ed56708bf40d022b7bb4f8cf26e6dd8d43afad649ed1af41dd7d7afc7711439e62a34f2e734"
        "0b95cb31e98941caff42010f1d08460cea9513cb881f717479dacbeac7d23229886deb82f62fa020"
    ),
}
"""The plane key as HPKE wrapped it once: it draws new entropy each time."""
TICKET = Ticket(
    1, PLANE, PlaneKind.LEDGER, "ledger", TOWN.public, "rivertown", TOPIC_KEY, PLANE_KEY,
    (Remote(RemoteKind.GIT, "git@example.org:moot.git"), Remote(RemoteKind.MQTT, "mqtts://example.org:8883")),
    INVITE_SEED,
)  # fmt: skip


def event_vector() -> dict[str, Any]:
    """An event with two writes, and the same with a change that removes."""
    return {
        name: {
            "skeleton": packed(
                "[1, hlc, actor, kind, entity, [[key, over, removes], ...]], keys ascending", each.skeleton_bytes
            ),
            "values": packed(
                "[salt, value, ...]: one value for each change that does not remove", each.values_bytes or b""
            ),
            "values_hash": plain("SHA256(values)", each.values_hash),
            "leaf": plain("SHA256(0x00 || SHA256(skeleton) || values_hash)", each.leaf),
        }
        for name, each in (
            ("writes", CREATED.events[0]),
            ("all types", CREATED.events[2]),
            ("removes", BY_TWO.events[1]),
        )
    }


def batch_vector() -> dict[str, Any]:
    """A batch of three events, one whose `over` names another author, and one without some values."""
    bare = [Event(e.n, e.skeleton, e.skeleton_bytes, None, e.values_hash, e.leaf) for e in CREATED.events[:1]]
    batches = {
        "three events": (CREATED, CREATED.events, "replica one"),
        "another author named": (BY_TWO, BY_TWO.events, "replica two"),
        "values of the first event absent": (CREATED, (*bare, *CREATED.events[1:]), "replica one"),
    }
    return {
        name: {
            "seed": plain("the Ed25519 seed of the author", SEEDS[author]),
            "header": packed(
                "[1, plane, author, first, count, prev, root, [further authors], hlc of the last event]",
                each.header_bytes,
            ),
            "leaves": [event.leaf.hex() for event in each.events],
            "signature": plain("Ed25519 by the author over 'moot/batch/1' 0x00 || header", each.signature),
            "id": plain("SHA256(header)", each.id),
            "batch": packed(
                "[1, header, signature, [[skeleton, values], ...]]; absent values: their hash as extension type 1",
                encode_batch(each.header_bytes, each.signature, events),
            ),
        }
        for name, (each, events, author) in batches.items()
    }


def certificate_vector() -> dict[str, Any]:
    """The genesis, the plane's id and the certificate of a replica."""
    body, signature, signer = certified(ONE)
    return {
        "a replica of the founder": {
            "seed": plain("the Ed25519 seed of the town key", SEEDS["town"]),
            "genesis": packed("[1, kind, town key, recovery key, name, nonce]", GENESIS),
            "plane": plain("SHA256('moot/plane/1' 0x00 || genesis), the first 16 bytes", PLANE),
            "body": packed("[1, plane, town key, the replica's key, its HPKE key, role]", body),
            "signature": plain("Ed25519 by the signer over 'moot/cert/1' 0x00 || body", signature),
            "signer": plain("the town key itself; an invite key is possible too", signer),
            "subject_text": {
                "says": "unpadded base64url of the replica's key: its certificate's entity",
                "text": key_text(ONE.public),
            },
        }
    }


def proof_vector() -> dict[str, Any]:
    """The second of three events, a charter's, and one of a replica that joined with an invite."""
    proofs = {
        "an event of a replica": (build_proof(CREATED, 3, certified(ONE), GENESIS), CREATED, 3),
        "an event of the founder's charter": (build_proof(CHARTER, 1, (), GENESIS), CHARTER, 1),
        "an event of a replica that joined with an invite": (
            build_proof(OPENING_THREE, 2, certified(THREE, INVITE), GENESIS, ((INVITED, 3),)), OPENING_THREE, 2,
        ),
    }  # fmt: skip
    return {
        name: {
            "proof": packed(
                "[1, skeleton, values, index, path, header, signature, [body, signature, signer] or [], genesis, "
                "further]; further: [] or, where an invite's key signed the certificate, one [skeleton, values, index, "
                "path, header, signature] of the charter's event that made the invite",
                data,
            ),
            "leaf": plain("where the path starts", batch.events[n - batch.header.first].leaf),
            "root": plain("where the path (RFC 9162, 2.1.3) ends: the header's root", batch.header.root),
        }
        for name, (data, batch, n) in proofs.items()
    }


def frontier_vector() -> dict[str, Any]:
    """What a replica that holds all of these batches tells everyone."""
    ends = ((TOWN, CHARTER), (ONE, BY_ONE), (TWO, BY_TWO))
    entries = tuple(
        sorted((Entry(key.public, last.header.last, last.id) for key, last in ends), key=lambda e: e.author)
    )
    body = FrontierBody(
        1, PLANE, ONE.public, ZEROS, 7, record()[1].digest(), summary(entries), Form.ALL, entries
    )  # fmt: skip
    message = build_frontier_message(ONE, body)
    parts = decode(message)
    return {
        "all entries": {
            "seed": plain("the Ed25519 seed of the sender", SEEDS["replica one"]),
            "body": packed(
                "[1, plane, sender, to or zeros, counter, digest, summary, form, [[author, n, batch, forked at], ...]]",
                parts[2],
            ),
            "summary": plain("SHA256 of the packed entries", body.summary),
            "signature": plain("Ed25519 by the sender over 'moot/frontier/1' 0x00 || body", parts[3]),
            "message": packed("[1, 1, body, signature]", message),
        }
    }


def record() -> tuple[list[dict[str, Any]], Digest]:
    """What is live after all of these batches, and the plane's digest."""
    batches = (CHARTER, OPENING_ONE, OPENING_TWO, CREATED, BY_TWO, BY_ONE)
    placed = [
        Placed(each.header.author, event, (each.header.author, *each.header.authors))
        for each in batches
        for event in each.events
    ]
    live, digest = [], Digest()
    for (kind, entity), keys in sorted(fold(placed).items()):
        for key, writes in sorted(keys.items()):
            for (value, hlc, author, n, actor, _), leaf in writes:
                each = term(place_prefix(kind, entity), key, place_suffix(author, n, leaf))
                digest.add(each)
                live.append(
                    {
                        "kind": kind, "entity": entity, "key": key, "author": author.hex(), "n": n, "leaf": leaf.hex(),
                        "hlc": shown(hlc), "actor": actor, "value": shown(value), "term": f"{each:064x}",
                    }
                )  # fmt: skip
    return live, digest


def record_vector() -> dict[str, Any]:
    """Concurrent statuses stay both, a label removed is gone, and the digest is the sum of the live terms."""
    live, digest = record()
    batches = [CHARTER, OPENING_ONE, OPENING_TWO, CREATED, BY_TWO, BY_ONE]
    return {
        "after six batches": {
            "batches": [encode_batch(each.header_bytes, each.signature, each.events).hex() for each in batches],
            "live": live,
            "live_says": "all writes that no `over` names; term: the number SHA256([kind, entity, author, n, leaf]) "
            "times the number SHA256(key) with its lowest bit set, modulo 2**256",
            "digest": plain("the sum of the terms modulo 2**256, big-endian", digest.digest()),
        }
    }


def frame_vector() -> dict[str, Any]:
    """A message that compressing would make longer, and one that is sent compressed."""
    bound = FRAME_DOMAIN + encode([1, TOPIC, epoch_id(PLANE_KEY), FRAME_NONCE])
    vectors: dict[str, Any] = {}
    for name, message in MESSAGES.items():
        body = b"\1" + len(COMPRESSED).to_bytes(4, "big") + COMPRESSED
        plaintext = body.ljust(padded(len(body)), b"\0")
        ciphertext = siv.encrypt(PLANE_KEY, FRAME_NONCE, plaintext, bound)
        frame = encode([1, TOPIC, epoch_id(PLANE_KEY), FRAME_NONCE, ciphertext])
        if name == "as it is":
            plaintext, frame = b"\0\0\0\0\x10" + message + b"\0", seal(PLANE_KEY, TOPIC, FRAME_NONCE, message)
        if open_frame({epoch_id(PLANE_KEY): PLANE_KEY}.get, TOPIC, frame) != message:
            raise ValueError(f"the frame {name} doesn't hold its message")
        vectors[name] = {
            "topic_key": plain("the plane's topic key", TOPIC_KEY),
            "plane": plain("the plane's id", PLANE),
            "topic": plain("HMAC-SHA256(topic key, 'moot/topic/1' 0x00 || plane), the first 16 bytes", TOPIC),
            "author": plain("the key of a replica", ONE.public),
            "sender": plain(
                "HMAC-SHA256(topic key, 'moot/sender/1' 0x00 || author), the first 16 bytes: its name on remotes",
                sender_of(TOPIC_KEY, ONE.public),
            ),
            "plane_key": plain("the key of the plane's epoch", PLANE_KEY),
            "epoch": plain("SHA256('moot/epoch/1' 0x00 || plane key), the first 8 bytes", epoch_id(PLANE_KEY)),
            "message": plain("what is sealed", message),
            "plaintext": plain(
                "0 (as it is) or 1 (zstd) || length of the body, 4 bytes || body || zeros, to a length of Padme",
                plaintext,
            ),
            "bound": plain("'moot/frame/1' 0x00 || [1, topic, epoch, nonce]: the associated data", bound),
            "frame": packed("[1, topic, epoch, nonce, AES-256-GCM-SIV of the plaintext under the plane key]", frame),
        }
    return vectors


def epoch_vector() -> dict[str, Any]:
    """The value of an epoch for two replicas that takes the place of an earlier one."""
    publics = {key: bytes(32) for key in WRAPS}
    value = [build_epoch(PLANE, PLANE_KEY, publics, [OLD_KEY])[0], [[key, WRAPS[key]] for key in sorted(WRAPS)]]
    epoch = epoch_id(PLANE_KEY)
    read = epoch_from_value(value)
    for key, private in HPKE_PRIVATE.items():
        if read is None or open_epoch(PLANE, epoch, read, key, private) != PLANE_KEY:
            raise ValueError("the epoch doesn't hold its key")
    return {
        "over an earlier one": {
            "plane": plain("the plane's id", PLANE),
            "plane_key": plain("the epoch's key", PLANE_KEY),
            "predecessor": plain("the key it takes the place of", OLD_KEY),
            "epoch": plain("SHA256('moot/epoch/1' 0x00 || plane key), the first 8 bytes", epoch),
            "entity": {"says": "the epoch in hex: the entity of its event", "text": epoch.hex()},
            "value": packed(
                "[AES-256-GCM-SIV under the plane key of the predecessors' keys, nonce of zeros, associated data "
                "'moot/predecessors/1' 0x00 || plane || epoch; [[recipient, HPKE base mode (X25519, HKDF-SHA256, "
                "AES-256-GCM) of the plane key, info 'moot/wrap/1' 0x00 || plane || epoch], ...]]",
                encode(value),
            ),
            "hpke_private": [
                plain("the X25519 private key of a recipient, in the order of the wraps", HPKE_PRIVATE[key])
                for key in sorted(WRAPS)
            ],
        }
    }


def ticket_vector() -> dict[str, Any]:
    """A ticket with two remotes."""
    text = encode_ticket(TICKET)
    return {
        "with two remotes": {
            "body": packed(
                "[1, plane, kind, plane's name, town key, town's name, topic key, plane key, [[kind, url], ...], seed]",
                encode(TICKET),
            ),
            "check": plain(
                "SHA256('moot/ticket/1' 0x00 || body), the first 5 bytes",
                sha256(TICKET_DOMAIN + encode(TICKET)).digest()[:5],
            ),
            "ticket": {
                "says": "'moot1' || Crockford's base32, lower case, of: length of the body, 2 bytes || body || check",
                "text": text,
            },
            "invite_key": plain("the Ed25519 key whose seed stands in the ticket", INVITE.public),
            "invite_hpke_private": plain(
                "SHA256('moot/invite-hpke/1' 0x00 || seed): the invite's X25519 private key",
                invite_hpke_private(INVITE_SEED),
            ),
        }
    }


def charter_vector() -> dict[str, Any]:
    """Another town: its admission, its charter's first event with an invite and without, and its removal."""
    batches = {
        "an invite for any town, and an admission": (GUESTS_ADMITTED, SEEDS["town"]),
        "the first event of a charter": (GUEST_OPENED, b"\x10" * 32),
        "the first event of a charter, with an invite": (GUEST_PROVED, b"\x10" * 32),
        "an end of a charter": (GUEST_REMOVED, SEEDS["town"]),
    }
    found: dict[str, Any] = {
        name: {
            "seed": plain("the Ed25519 seed of the town that writes", seed),
            "header": packed("as in batch.json", each.header_bytes),
            "signature": plain("Ed25519 by the town over 'moot/batch/1' 0x00 || header", each.signature),
            "skeletons": [packed("as in event.json", event.skeleton_bytes) for event in each.events],
            "values": [packed("[salt, value]", event.values_bytes or b"") for event in each.events],
        }
        for name, (each, seed) in batches.items()
    }
    proof = {
        "plane": plain("the plane", PLANE),
        "seed": plain("the invite's seed", GUEST_INVITE_SEED),
        "signed": packed("[plane, town key]", encode([PLANE, GUEST.public])),
        "signature": plain("Ed25519 by the invite key over 'moot/charter/1' 0x00 || signed", PROOF.signature),
    }
    return {"the proof of an invite": proof, **found}


def erase_vector() -> dict[str, Any]:
    """An event of one replica that erases two of another's of its town, and their batch before and after."""
    bare = [each.without_values() if i % 2 == 0 else each for i, each in enumerate(CREATED.events)]
    texts = {
        "batch": "kind 'erase'; entity: unpadded base64url of the key of the author whose events are erased; a key for "
        "each: its number in decimal digits, a point, the first 8 bytes of its leaf in hex",
        "before": "the batch that holds what is erased", "after": "the same without the values of what is erased",
    }  # fmt: skip
    batches = {"batch": (ERASED, ERASED.events), "before": (CREATED, CREATED.events), "after": (CREATED, bare)}
    packets = {name: encode_batch(of.header_bytes, of.signature, events) for name, (of, events) in batches.items()}
    return {"two events of another replica": {name: packed(texts[name], data) for name, data in packets.items()}}


SUBJECTS = {
    "event": event_vector, "batch": batch_vector, "erase": erase_vector, "certificate": certificate_vector,
    "charter": charter_vector, "proof": proof_vector, "frontier": frontier_vector, "record": record_vector,
    "frame": frame_vector, "epoch": epoch_vector, "ticket": ticket_vector, "values": values.vectors,
    "towns": towns.vectors, "refused": refused.vectors,
}  # fmt: skip


def documents() -> dict[str, str]:
    """The text of each file by its name."""
    return {
        f"{subject}.json": json.dumps(
            {"format": 1, "status": "frozen", "about": make.__doc__, "vectors": make()},
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for subject, make in SUBJECTS.items()
    }


if __name__ == "__main__":
    for file, text in documents().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
        print(f"{file}: {len(text)} characters")
