"""Issues: what each request on them does to the log, and how they are read."""
