"""Many issues at once: candidates, filters, lists, counts, queries, exports."""
