"""Where the log and its views are kept: a port, LMDB behind it, and an in-memory twin."""
