"""What is known of a video, where it may be fetched from, and which formats are understood; no I/O."""
