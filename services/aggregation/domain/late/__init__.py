"""What changes after windows have settled: late readings, revoked beliefs, recomputation; not how windows close at
first."""
