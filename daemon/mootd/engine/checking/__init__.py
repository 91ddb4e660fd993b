"""Whether the store is what the log says: every hash, record, index and digest."""
