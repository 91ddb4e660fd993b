"""What an issue is: its reading, its document, claims, conflicts, erasures, queries, and what may leave."""
