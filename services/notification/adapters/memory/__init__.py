"""The ports in memory, for tests of the use cases."""
