"""What tests share: strategies, seeded entropy, forged input. Nothing here is imported by the sources."""
