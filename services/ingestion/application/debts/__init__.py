"""Debt files: received, checked, registered and asked about; the rules of their rows are in `domain.debts`."""
