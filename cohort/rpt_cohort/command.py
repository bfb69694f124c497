"""The commands' manners: one sentence and exit 2 for bad input, progress on stderr."""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from rpt_cohort.errors import BadInput

Item = TypeVar("Item")

stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def new_app(description: str) -> typer.Typer:
    """Make a typer application in the house's manner."""
    return typer.Typer(
        help=description,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def run_app(app: Callable[[], None]) -> None:
    """Run a command; bad input and failing disks end in one sentence and exit 2."""
    try:
        app()
    except BadInput as error:
        fail(str(error))
    except OSError as error:
        # Not its name: files from a clinic often carry the patient's.
        fail(f"a file or folder could not be read or written: {error.strerror or error}.")


def fail(sentence: str) -> None:
    """Say what is wrong on stderr and leave with status 2."""
    stderr.print(f"[bold red]error:[/] {escape(sentence)}")
    sys.exit(2)


def warn(sentence: str) -> None:
    """Say on stderr what the user should know; the command goes on."""
    stderr.print(f"[bold yellow]warning:[/] {escape(sentence)}")


class _Warned(logging.Handler):
    """Says on stderr what the library logs as a warning."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


logging.getLogger("rpt_cohort").addHandler(_Warned())


def say(sentence: str) -> None:
    """Tell on stderr what was done."""
    stderr.print(escape(sentence))


def progress(items: Sequence[Item], description: str) -> Generator[Item, None, None]:
    """Yield ``items`` under a progress bar on stderr.

    Without rich's threads, which an exception between two items would leave behind.
    """
    with Progress(console=stderr, auto_refresh=False) as bar:
        task = bar.add_task(description, total=len(items))
        for item in items:
            bar.refresh()
            yield item
            bar.advance(task)
