"""What can't be copied is noted by share and issue, with the latest reason, until it is forgotten."""

from mootd.engine.machine.uncopied import forget_all_uncopied, forget_uncopied, note_uncopied, uncopied
from mootd.store.memory_store import MemoryStore


def test_each_share_has_notes_of_its_own() -> None:
    with MemoryStore().write() as transaction:
        for share, issue, why in (("a", "mt-2", "long"), ("a", "mt/ü", "longer"), ("ab", "mt-2", "other")):
            note_uncopied(transaction, share, issue, why)
        note_uncopied(transaction, "a", "mt-2", "too long")
        assert uncopied(transaction, "a") == {"mt-2": "too long", "mt/ü": "longer"}
        forget_uncopied(transaction, "a", "mt-2")
        forget_uncopied(transaction, "a", "mt-3")
        assert uncopied(transaction, "a") == {"mt/ü": "longer"}
        forget_all_uncopied(transaction, "a")
        assert (uncopied(transaction, "a"), uncopied(transaction, "ab")) == ({}, {"mt-2": "other"})
