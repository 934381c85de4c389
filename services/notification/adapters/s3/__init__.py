"""The object storage, as an adapter of notification."""
