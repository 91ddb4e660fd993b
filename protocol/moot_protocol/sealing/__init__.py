"""What remotes see: sealed frames, the names they stand under, and the keys that open them."""
