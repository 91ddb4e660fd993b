"""Words and columns: times, amounts, tables, styles, and what makes text of others safe to print."""
