"""Replicas, desks and towns in memory, and what happens on them."""
