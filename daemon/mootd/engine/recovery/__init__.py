"""After a loss: copied machines, lost events, the paper key, and what is written anew."""
