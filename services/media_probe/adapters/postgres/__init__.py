"""The results in PostgreSQL; tables are made in `migrations`."""
