"""The ports in memory, for tests of the rules and use cases."""
