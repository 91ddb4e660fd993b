"""Moot's protocol: bytes, events, merge, acceptance and exchange, without any I/O.

Nothing here reads a clock, draws random numbers, opens a file or a socket, or logs: time, entropy and keys are
arguments. Whatever two replicas must agree about lives here and nowhere else.
"""
