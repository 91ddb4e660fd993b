"""The bytes of the log: events, the batches that one signature covers, and the trees that prove them."""
