"""Moot's clients: the thin command-line client, the console it talks to, and the typed RPC client."""

__version__ = "0.1.0"
