"""Which issues a share lets out that can't be copied as they stand, and why. Bookkeeping of this machine.

It is noted by the machine that follows, and never replicated: the log has no place for an id that is too long.
"""

from mootd.engine.stored import layout
from mootd.store.port import Reader, Table, WriteTransaction


def note_uncopied(transaction: WriteTransaction, share: str, issue: str, why: str) -> None:
    """Note of an issue why a share has no copy of it, or none in step; in place of what was noted before."""
    transaction.put(Table.META, _key(share, issue), why.encode())


def forget_uncopied(transaction: WriteTransaction, share: str, issue: str) -> None:
    """Note nothing of an issue any more."""
    transaction.delete(Table.META, _key(share, issue))


def forget_all_uncopied(transaction: WriteTransaction, share: str) -> None:
    """Note nothing of a share's issues any more."""
    for issue in uncopied(transaction, share):
        forget_uncopied(transaction, share, issue)


def uncopied(reader: Reader, share: str) -> dict[str, str]:
    """Issue → why, of what this machine has noted about a share; by the issues' ids."""
    start = _key(share, "")
    return {
        key[len(start) :].decode(): why.decode() for key, why in reader.scan(Table.META, start, layout.after(start))
    }


def _key(share: str, issue: str) -> bytes:
    """META key of why a share has no copy of an issue; without an issue, what those of all begin with."""
    return layout.UNCOPIED + f"{share}/{issue}".encode()
