"""The commands, a module for each with `register(app)`; what they share is beside this package."""
