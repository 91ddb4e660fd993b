"""Moot's daemon: a pure engine and its edges (store, keys, clock, control socket), put together in `app`."""
