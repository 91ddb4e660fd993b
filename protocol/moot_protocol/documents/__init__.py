"""Documents: roles, formulas and templates, and how a formula becomes steps."""
