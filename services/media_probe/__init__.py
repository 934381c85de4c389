"""Probes the videos of alerts by a few bytes each, isolated from what hostile files may do; alerts are kept by
ingestion."""
