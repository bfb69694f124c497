"""The commands' manners: one sentence and exit 2 for bad input, progress on stderr."""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from rpt_kinetics.errors import BadInput
from rpt_kinetics.missing import missing_sentence

Item = TypeVar("Item")

stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def new_app(description: str, *, distribution: str) -> typer.Typer:
    """Make a typer application in the house's manner, with ``--version``.

    Args:
        description: Of the help.
        distribution: Whose version is told, such as ``rpt-kinetics``.
    """
    app = typer.Typer(
        help=description,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    def tell_version(wanted: bool) -> bool:
        if wanted:
            typer.echo(f"{distribution} {installed_version(distribution)}")
            raise typer.Exit
        return wanted

    @app.callback(help=description)
    def commands(
        version: Annotated[
            bool,
            typer.Option(
                "--version", callback=tell_version, is_eager=True, help="Tell the version and end."
            ),
        ] = False,
    ) -> None:
        """Keep the commands' names, also while there is one command."""

    return app


def run_app(app: Callable[[], None]) -> None:
    """Run a command; bad input, failing disks and missing libraries end in a sentence, exit 2."""
    try:
        app()
    except ModuleNotFoundError as error:
        sentence = missing_sentence(error)
        if sentence is None:
            raise
        fail(sentence)
    except BadInput as error:
        fail(repeat_typed(str(error), sys.argv[1:]))
    except OSError as error:
        fail(
            f"a file or folder{_typed(error.filename)} could not be read or written: "
            f"{error.strerror or 'unknown fault'}."
        )


def repeat_typed(sentence: str, words: Sequence[str]) -> str:
    """Let a refusal repeat a path as it was typed.

    A file goes by its own name in the sentences of a library, or by the option that named it.

    Args:
        sentence: The refusal.
        words: What was typed after the command.
    """
    named = list(zip(["", *words], words, strict=False))
    named += [(one[0], one[2]) for one in (word.partition("=") for word in words) if one[1]]
    typed = [(option, value) for option, value in named if _is_path(value)]
    if any(_is_repeated(value, sentence) for _, value in typed):
        return sentence
    for _, value in typed:
        name = rf"(?<![\w/.-]){re.escape(Path(value).name)}(?![\w-])"
        if not Path(value).suffix:  # a plain word, such as out, is a name in quotes only
            name = rf"(?<='){re.escape(Path(value).name)}(?=')"
        if re.search(name, sentence):
            return value.join(re.split(name, sentence))
    options = Counter(option for option, _ in typed)
    for option, value in typed:
        if options[option] > 1:  # nobody knows here which of several is meant
            continue
        if option.startswith("--") and re.search(rf"(?<![\w-]){option}(?![\w-])", sentence):
            return f"{sentence} {option} was '{value}'."
    return sentence


def _is_repeated(typed: str, sentence: str) -> bool:
    """Tell whether a sentence holds a path; a plain word, such as none, counts in quotes only."""
    plain = os.sep not in typed and not Path(typed).suffix
    return (f"'{typed}'" if plain else typed) in sentence


def _is_path(word: str) -> bool:
    """Tell what names a file or folder from numbers, names and options."""
    return not word.startswith("-") and (
        os.sep in word or Path(word).suffix[1:2].isalpha() or Path(word).exists()
    )


def _typed(filename: object) -> str:
    """Return the argument by which a file was named; its own name may hold a patient's."""
    if not isinstance(filename, str | os.PathLike):
        return ""
    path = Path(filename).absolute()
    for word in sys.argv[1:]:
        typed = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        if typed and not typed.startswith("--") and path.is_relative_to(Path(typed).absolute()):
            return f", '{typed}' or below it," if path != Path(typed).absolute() else f" '{typed}'"
    return ""


def fail(sentence: str) -> None:
    """Say what is wrong on stderr and leave with status 2."""
    stderr.print(f"[bold red]error:[/] {escape(sentence)}")
    sys.exit(2)


@contextmanager
def as_typed(options: Mapping[str, str]) -> Iterator[None]:
    """Let refusals name options as they are typed.

    Args:
        options: Words of the library's sentences → words of the command line.
    """
    words = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
    try:
        yield
    except BadInput as error:
        sentence = re.sub(rf"(?<![\w-])(?:{words})\b", lambda it: options[it[0]], str(error))
        raise BadInput(sentence) from error


def warn(sentence: str) -> None:
    """Say on stderr what the user should know; the command goes on."""
    stderr.print(f"[bold yellow]warning:[/] {escape(sentence)}")


def say(sentence: str) -> None:
    """Tell on stderr what was done."""
    stderr.print(escape(sentence))


def progress(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield ``items`` under a progress bar on stderr.

    Without rich's threads, which an exception between two items would leave behind.
    """
    with Progress(console=stderr, auto_refresh=False) as bar:
        task = bar.add_task(description, total=len(items))
        for item in items:
            bar.refresh()
            yield item
            bar.advance(task)
