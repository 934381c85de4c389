"""Secrets as files, the way containers are given them: a directory with a file for each variable, named after it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

SECRETS_DIR_VARIABLE = "TOCSIN_SECRETS_DIR"
_VARIABLE = re.compile(r"TOCSIN_[A-Z0-9_]+")


class SecretsUnreadable(Exception):
    """The directory, or a file in it, cannot be read: `problem` is to be said after the name of the variable."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{SECRETS_DIR_VARIABLE} {problem}")
        self.problem = problem


def with_secret_files(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment and, for variables that are unset or empty in it, what the files of TOCSIN_SECRETS_DIR say.

    A line end that closes a file is not part of the value. Files with other names are passed over: they are those that
    settings name by their path. Raises SecretsUnreadable.
    """
    directory = environment.get(SECRETS_DIR_VARIABLE, "")
    if not directory:
        return environment
    try:
        found = {name: _text(Path(directory, name)) for name in os.listdir(directory) if _VARIABLE.fullmatch(name)}
    except OSError as error:
        raise SecretsUnreadable(f"cannot be used: {error.filename}: {error.strerror}") from None
    return {**found, **{name: text for name, text in environment.items() if text or name not in found}}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise SecretsUnreadable(f"cannot be used: {path} is no text (UTF-8)") from None
