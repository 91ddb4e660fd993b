"""What a machine keeps, so that two moments can be compared: every row of its store, its keys, its files."""

from pathlib import Path
from typing import NamedTuple

from moot_testkit.towns.town import Member
from mootd.engine.stored import layout
from mootd.store.port import Table


class Kept(NamedTuple):
    """A machine at one moment."""

    rows: dict[tuple[str, bytes], bytes]
    """Without the clock: a moment that was used and taken back is not used again."""
    keys: frozenset[str]
    files: dict[str, bytes]


def kept(member: Member, folder: Path | None = None) -> Kept:
    """What a machine keeps now, and what lies in a folder of it, where one is named."""
    with member.store.read() as reader:
        rows = {(str(table), key): value for table in Table for key, value in reader.scan(table, b"\0")}
    rows.pop((str(Table.META), layout.CLOCK), None)
    paths = [] if folder is None else sorted(folder.rglob("*"))
    files = {str(path): path.read_bytes() for path in paths if path.is_file()}
    return Kept(rows, frozenset(member.keys._keys), files)
