"""Builds the WHERE of a list from the filters that are given, so that each combination gets a plan of its own."""


class Conditions:
    """Conditions with numbered arguments; `first` are the arguments that the statement has anyway."""

    def __init__(self, *first: object) -> None:
        self.arguments: list[object] = list(first)
        self._conditions: list[str] = []

    def add(self, condition: str, *values: object) -> None:
        """Adds a condition; each `{}` in it stands for one of the values."""
        places = [f"${len(self.arguments) + place}" for place in range(1, len(values) + 1)]
        self.arguments.extend(values)
        self._conditions.append(condition.format(*places))

    def into(self, statement: str) -> str:
        """The statement with the conditions in place of `/*where*/`."""
        where = " AND ".join(self._conditions)
        return statement.replace("/*where*/", f"WHERE {where}" if where else "")
