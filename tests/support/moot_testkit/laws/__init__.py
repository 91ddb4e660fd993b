"""The laws, checked against stores, merges and random worlds."""
