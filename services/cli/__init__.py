"""The `tocsin` command; it knows the services by their contracts only, and how they are started."""
