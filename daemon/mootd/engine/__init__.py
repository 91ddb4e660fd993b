"""The engine: a replica's log, acceptance, records, indexes and readiness over a store. No I/O of its own.

Time, entropy, keys and the store are arguments, so that the simulator runs exactly this code. The log (events and
batches) is the truth; records and indexes are views that `rebuild` can make again, and every batch updates both in
one transaction.
"""
