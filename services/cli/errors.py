"""What a command raises to end with one line on standard error."""


class CommandError(Exception):
    """`message` is for people; exit code 1 when the request failed, 2 for wrong usage, 3 when no mesh is up."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
