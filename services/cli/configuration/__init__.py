"""All settings of all parts: their reference, and their check before anything starts."""
