"""The rules of debt files."""
