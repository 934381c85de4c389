"""Options that several commands take alike, declared once: a dataclass of them, which a command takes as one value."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its parameters that are dataclasses. The fields are declared as
    parameters of commands are (`Annotated` with an option), and have defaults."""
    own = signature(command, eval_str=True).parameters.values()
    declared = {one.name: one.annotation for one in own}
    groups = {name: kind for name, kind in declared.items() if isinstance(kind, type) and is_dataclass(kind)}

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        command(**made, **given)

    parameters: list[Parameter] = []
    for one in own:
        if (kind := groups.get(one.name)) is None:
            parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))
        else:
            parameters += _options(kind)
    run.__signature__ = Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue] - inspect reads it
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _options(kind: type[Any]) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(kind)
    ]
