"""The `corelic` program: its commands, and what becomes of an error.

Exit codes: 0 done; 1 an error, in one sentence; 2 wrong usage; 130 and 143 interrupted.
"""

import atexit
import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from typer import Option

import corelic
from corelic.allocator import keep_freed
from corelic.cli import (
    attack,
    bdrate,
    bench,
    codecs,
    compare,
    decode,
    demo,
    encode,
    export,
    info,
    report,
    robustness,
    train,
)
from corelic.console import show_error, show_warning
from corelic.errors import CorelicError, PictureWarning, PluginWarning

GARBAGE_LOOKED_FOR = (
    200_000  # every so many new objects; Python's 700 suit programs with few imports
)

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is plain text, so that its examples keep their lines
)
for command in (
    encode.encode,
    decode.decode,
    info.info,
    codecs.codecs,
    compare.compare,
    demo.demo,
    train.train,
    export.export,
    bench.bench,
    report.report,
    bdrate.bdrate,
    attack.attack,
    robustness.robustness,
):
    app.command()(command)


def _print_version(given: bool) -> None:
    if given:
        print(f"corelic {corelic.__version__}")
        raise typer.Exit


@app.callback()
def corelic_(
    version: Annotated[
        bool,
        Option("--version", callback=_print_version, is_eager=True, help="Print it and exit."),
    ] = False,
    debug: Annotated[
        bool, Option("--debug", help="Show where an error comes from; may stand anywhere.")
    ] = False,
) -> None:
    """A learned image codec: photo.png to photo.clc and back, offline, on a CPU.

    \b
    Examples:
      corelic encode photo.png
      corelic decode photo.clc
      corelic encode --help
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if not debug:
        warnings.simplefilter("ignore")  # of libraries, about what the user cannot change
    warnings.simplefilter("always", PictureWarning)
    warnings.simplefilter("always", PluginWarning)
    warnings.showwarning = _show_warning
    # So that a temporary file is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments is None:  # the process is ours
        # What imports make stays: to look through it again and again, and once more at the end,
        # takes half a second with torch.
        gc.set_threshold(GARBAGE_LOOKED_FOR)
        atexit.register(gc.freeze)
        keep_freed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where the parent has closed it
            stream.reconfigure(errors="backslashreplace")  # not every terminal knows a × or a →
    try:
        try:
            app(given, prog_name="corelic")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # at the interpreter's end it would fail with a traceback
    except (CorelicError, MemoryError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, CorelicError):
            _mute_stdout()
        if debug:
            raise
        if not isinstance(error, BrokenPipeError):  # its reader has had enough: nothing to say
            show_error(_sentence(error), Console(stderr=True))
        sys.exit(1)
    raise AssertionError("every command ends with an exit code")


def _sentence(error: CorelicError | MemoryError | OSError) -> str:
    if isinstance(error, CorelicError):  # some are builtin errors, too, and have more to say
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory for this picture; use a machine that has more"
    return f"{error.filename or 'standard output'}: {(error.strerror or str(error)).lower()}"


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    """One line; where in the code it was given is of no use to the user."""
    show = _show_once if issubclass(category, PluginWarning) else _show
    show(str(message))


def _show(message: str) -> None:
    show_warning(message, Console(stderr=True))


_show_once = cache(_show)  # other packages are asked time and again


def _mute_stdout() -> None:
    """What it could not take would fail once more when the interpreter ends."""
    if sys.stdout is not None:  # it may be closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
