"""Feeds, forged batches, decoders' samples, and strategies for all of it."""
