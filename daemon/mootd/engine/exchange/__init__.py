"""What comes from other replicas and goes to them: receiving, taking back, comparing, queueing."""
