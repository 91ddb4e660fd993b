"""What lies in a store's tables, read and written behind the engine's back."""

from mootd.engine.replica import Replica
from mootd.store.port import Store, Table


def rows(replica: Replica, table: Table) -> dict[bytes, bytes]:
    """A table's rows."""
    with replica.read() as reader:
        return dict(reader.scan(table, b"\0"))


def tables(replica: Replica) -> dict[Table, dict[bytes, bytes]]:
    """Everything in the store."""
    return {table: rows(replica, table) for table in Table}


def put(store: Store, table: Table, key: bytes, value: bytes) -> None:
    """Overwrite a row."""
    with store.write() as writer:
        writer.put(table, key, value)
