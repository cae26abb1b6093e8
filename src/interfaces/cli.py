"""Owns the outermost edge: doing what the line says, and a failure as a sentence and an exit code.

Whatever takes time to import is imported within ``main``, so that Ctrl-C is quiet from the first moment.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from .exits import BUG, FAULT, INTERRUPTED, OK, PIPE_CLOSED, USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

    from .commands import app

__all__ = ["app", "main"]

DEBUG = "SCRIPWORLD_DEBUG"
_BEGINNINGS = ("A ", "An ", "No ", "The ", "There ")
"""Of sentences; anything else that a fault begins with may be a name."""


def __getattr__(name: str) -> Any:
    """Import ``app``, the commands, only for who asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .commands import app

    return app


def main() -> int:
    """Do what the command line says; returns the exit code.

    Nothing but a sentence reaches a person, whatever happens, unless ``SCRIPWORLD_DEBUG`` is set.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")
        code = _obey()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        _say("", error)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more when it exits; that must not meet the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # the outermost edge: a person is told in a sentence, whatever it is
        return _failed(error)


def _obey() -> int:
    import typer

    from .commands import app
    from .started import program

    try:
        work: Any = app(standalone_mode=False, prog_name=program())
    except typer.TyperException as error:
        return _usage(error)
    except typer.Abort:  # what it makes of Ctrl-C while it reads the line
        raise KeyboardInterrupt from None
    return (work() if callable(work) else work) or OK


def _failed(error: Exception) -> int:
    from ..world import ConfigurationFault, Fault

    if isinstance(error, Fault):
        _say(f"error: {_sentences(str(error))}", error)
        return USAGE if isinstance(error, ConfigurationFault) else FAULT
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror or error}", error)
        return FAULT
    if os.environ.get(DEBUG):
        import traceback

        traceback.print_exception(error)
    text = " ".join(str(error).split())[:400]
    _say(
        f"error: this is a bug in Scripworld ({type(error).__name__}: {text}); "
        f"{DEBUG}=1 shows where",
        error,
    )
    return BUG


def _usage(error: typer.TyperException) -> int:
    from .started import program

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else program()
    ours = error.message.startswith("--")  # names its option by itself
    told = (error.message if ours else error.format_message()).removesuffix(".")
    told = told[:1].lower() + told[1:]
    _say(f"error: {told}\n{path} --help says what there is", error)
    return USAGE


def _sentences(text: str) -> str:
    """What a fault says in one style: it begins small and ends without a period, as most of them do."""
    lines = [line.removesuffix(".") for line in text.splitlines()]
    return "\n".join(
        line[:1].lower() + line[1:] if line.startswith(_BEGINNINGS) else line for line in lines
    )


def _say(text: str, error: BaseException) -> None:
    """Tell a person, with what was noted about the failure on its way here."""
    for line in (text, *getattr(error, "__notes__", ())):
        if line:
            print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
