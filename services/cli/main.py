"""The `tocsin` command. Every module in `services/cli/commands` adds itself by a function `register(app)`."""

import importlib
import io
import os
import pkgutil
import sys
import traceback
from typing import Annotated, Any

import typer
import typer.exceptions

from services.cli import commands
from services.cli.errors import CommandError
from services.cli.runtime.errors import RuntimeProblem

DEBUG_VARIABLE = "TOCSIN_DEBUG"
_HELP_OPTIONS = ["-h", "--help"]
_UNEXPECTED = 70
_INTERRUPTED = 130


def build_app(first: str = "") -> typer.Typer:
    """The command with all its subcommands; where one is called as the first argument, with that alone: it need not
    load what the others stand on."""
    app = typer.Typer(
        name="tocsin",
        help="Tocsin: an event backbone for buildings, cameras and billing systems.",
        invoke_without_command=True,
        callback=_root,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": _HELP_OPTIONS},
    )
    modules = sorted(info.name for info in pkgutil.iter_modules(commands.__path__))
    for module in [name for name in modules if name == first.replace("-", "_")] or modules:
        importlib.import_module(f"{commands.__name__}.{module}").register(app)
    return app


def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        from services.cli.version import tocsin_version

        print(f"tocsin {tocsin_version()}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Runs the command line; a failure is one line on standard error and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe that has no sign for something shows a question mark.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """As `main`, but returns the exit code."""
    try:
        command = typer.main.get_command(build_app(arguments[0] if arguments else ""))
        _show_flags_as_flags(command)
        result = command.main(arguments, prog_name="tocsin", standalone_mode=False)
    except (CommandError, RuntimeProblem) as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        return _fail(error.message, error.exit_code)
    except typer.exceptions.TyperException as error:
        context = getattr(error, "ctx", None)
        about = "tocsin" if context is None else context.command_path
        # A group without a command has shown its help, and has nothing to say.
        said = error.format_message()
        return _fail(f"{said} ('{about} --help' tells more)", error.exit_code) if said else error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)", _UNEXPECTED)
    return result if isinstance(result, int) else 0


def _show_flags_as_flags(command: Any) -> None:
    """In help, `--json` and not `--json <bool>`, which looks as if it took a value."""
    for option in command.get_params(typer.Context(command, help_option_names=_HELP_OPTIONS)):
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _show_flags_as_flags(inner)


def _fail(message: str, exit_code: int) -> int:
    print(f"tocsin: {message}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    main()
