"""Whose events count: planes' founding, charters, certificates, towns, acceptance, and proofs of it all."""
