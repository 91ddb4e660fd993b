"""Bundles of work: epics, swarms, gates, merge slots, formulas and molecules."""
