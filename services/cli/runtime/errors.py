"""What can go wrong in the runtime in a way that the operator can act upon."""


class RuntimeProblem(Exception):
    """Carries one line for the operator and the exit code of the command (2: configuration, 1: the rest)."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class ConfigurationProblem(RuntimeProblem):
    """The operator asked for something that cannot be: a taken port, a state directory in use, a bad number."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)
