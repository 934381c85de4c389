"""Benchmarks: each figure beside its reference in the same run. `make bench`, see docs/performance.md."""
