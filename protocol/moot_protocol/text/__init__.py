"""Texts and the notations people write: JSON and TOML, patterns, versions, differences and merges of lines."""
