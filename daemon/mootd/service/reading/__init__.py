"""Requests that only read, each answered from a snapshot of the store."""
