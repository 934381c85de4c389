"""Benchmarks of probing: few bytes, nobody waits for another's server, and speed beside `ffprobe` as a process."""
