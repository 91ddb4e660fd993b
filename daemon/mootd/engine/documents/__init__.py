"""Documents: roles, formulas and templates over the store, and whose word they are."""
