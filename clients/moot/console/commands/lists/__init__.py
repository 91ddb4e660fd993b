"""Many issues: listed, counted, drawn, searched, and what should be cleared away."""
