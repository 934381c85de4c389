"""What can go wrong in the runtime in a way that the operator can act upon."""

import errno


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


def describe(error: Exception) -> str:
    """An error in a few words, for the operator."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space left on device ({error.filename})" if error.filename else "no space left on device"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
