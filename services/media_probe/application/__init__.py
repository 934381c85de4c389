"""Probing an alert's video and asking about results, and the ports for it; nothing here fetches or decodes."""
