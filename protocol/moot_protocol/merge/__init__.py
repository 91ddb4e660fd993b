"""How concurrent writes become one state: the multi-value map, and what each field makes of several values."""
