"""The rules of debt files, row by row and in columns, and how their CSV is read; nothing of where they are stored."""
