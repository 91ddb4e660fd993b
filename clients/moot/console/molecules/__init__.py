"""Molecules: poured from formulas, shown as they stand, and gone on with."""
