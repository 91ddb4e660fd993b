"""What `tests/vectors/make.py` makes the golden vectors of: a scene, towns, values, proofs that break one rule each."""
