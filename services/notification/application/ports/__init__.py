"""What the use cases need of the outside, by subject; adapters give it."""
