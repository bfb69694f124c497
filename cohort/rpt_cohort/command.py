"""The commands' manners: options by a model, one sentence and exit 2, progress, all cores."""

import inspect
import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import closing, contextmanager
from functools import partial, wraps
from importlib.metadata import version as installed_version
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from rpt_cohort.errors import BadInput

Item = TypeVar("Item")
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]

stderr = Console(stderr=True, soft_wrap=True, highlight=False)

_listeners: list[Callable[[float], None]] = []
"""What moves with the share of the work that is done; the last one listens."""


def new_app(description: str, *, distribution: str) -> typer.Typer:
    """Make a typer application in the house's manner, with ``--version``.

    Args:
        description: Of the help.
        distribution: Whose version is told, such as ``rpt-dosimetry``.
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


def run_app(app: Callable[[], None], *, needs: str | None = None) -> None:
    """Run a command; bad input and failing disks end in one sentence and exit 2.

    Args:
        app: The application.
        needs: What installs the libraries of its commands, such as ``rpt-kinetics[commands]``,
            where they are an extra; a missing one is then told likewise.
    """
    try:
        app()
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if needs is None or library.startswith("rpt_"):
            raise
        fail(f"this command needs {library}: pip install '{needs}'.")
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


def refuse_existing(*paths: Path, overwrite: bool) -> None:
    """Refuse to replace files unless told so.

    Raises:
        BadInput: One is there.
    """
    for path in paths:
        if path.exists() and not overwrite:
            raise BadInput(
                f"'{path.name}' must be new, and it is there. Name another or give --overwrite."
            )


@contextmanager
def as_typed(options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let a library's ``ValueError`` be a refusal that names options as they are typed.

    Args:
        options: Words of the library's sentences → words of the command line.
    """
    try:
        yield
    except ValueError as error:
        raise BadInput(_reworded(str(error), options or {})) from error


def _reworded(sentence: str, options: Mapping[str, str]) -> str:
    for word, option in options.items():
        # Not within a path, which may hold the same word.
        sentence = re.sub(rf"(?<![\w/.-]){word}\b(?!/|\.\w)", option, sentence)
    return sentence


class Options(BaseModel):
    """What a user may choose, typed once: options of a command, keys of a file, the provenance.

    A field that was made by ``choice`` is an option of the command that takes the model, or, where
    it is rare, a key of the file that the option ``--options`` names.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def choice(default: Any = ..., *, help: str, rare: bool = False) -> Any:
    """Make a field of ``Options`` that users may choose.

    Args:
        help: What the option says of it, with its unit.
        rare: Whether it stands in a file alone.
    """
    return Field(default, description=help, json_schema_extra={"rare": rare})


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command's parameter that is a model of ``Options`` be options, one a field.

    What is typed goes before what the file of ``--options`` holds. In refusals ``time_h`` becomes
    ``--time-h``, for all options of the command.
    """
    signature = inspect.signature(command, eval_str=True)
    ((taker, model),) = (
        (one.name, one.annotation)
        for one in signature.parameters.values()
        if inspect.isclass(one.annotation) and issubclass(one.annotation, Options)
    )
    fields = {name: field for name, field in model.model_fields.items() if field.description}
    rare = {name: field for name, field in fields.items() if _is_rare(field)}
    made = {name: _option(name, field) for name, field in fields.items() if name not in rare}
    if rare:
        listed = "; ".join(f"{name}: {field.description}" for name, field in rare.items())
        told = typer.Option(metavar="FILE.yaml", help=f"Rarer choices, by key. {listed}.")
        made["options"] = _keyword("options", Annotated[Path | None, told], None)
    parameters: list[inspect.Parameter] = []
    for one in signature.parameters.values():
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        parameters += list(made.values()) if one.name == taker else own
    flags = {one.name: _flag(one.name) for one in parameters if "_" in one.name}

    @wraps(command)
    def run(**words: Any) -> None:
        typed = {name: words.pop(name) for name in made}
        file = typed.pop("options", None)
        given = {name: value for name, value in typed.items() if value is not None}
        try:
            command(**words, **{taker: _chosen(model, given, file)})
        except BadInput as error:
            raise BadInput(_reworded(str(error), flags)) from error

    del run.__wrapped__  # by which typer would find the model again
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _is_rare(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra["rare"])


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, annotation=annotation, default=default)


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make an option of a field: of its plain type, because the model checks its values."""
    kind: Any = field.annotation
    while get_origin(kind) not in (None, Literal):  # T | None, and Annotated[T, …] in it
        kind = get_args(kind)[0]
    words = "|".join(map(str, get_args(kind))) or None
    kind = str if words else kind
    shown = False if field.is_required() or field.default is None else str(field.default)
    told = typer.Option(_flag(name), help=field.description, metavar=words, show_default=shown)
    default = inspect.Parameter.empty if field.is_required() else None
    annotation = Annotated[kind, told] if field.is_required() else Annotated[kind | None, told]
    return _keyword(name, annotation, default)


Chosen = TypeVar("Chosen", bound=Options)


def _chosen(model: type[Chosen], typed: Mapping[str, Any], file: Path | None) -> Chosen:
    held = {} if file is None else read_yaml(file, noun="The file of --options")
    if not isinstance(held, dict):
        raise BadInput(f"{file}: The file of --options must hold keys and values.")
    try:
        return model.model_validate(held | dict(typed))
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else ""
        if name in typed:
            raise BadInput(_typed_sentence(name, fault)) from error
        if file is None:
            raise BadInput(fault["msg"].removeprefix("Value error, ")) from error
        raise BadInput(f"{file}: {fault_sentence(error)}") from error


_HOLDS = {
    "greater_than": "above {gt:g}{unit}",
    "greater_than_equal": "{ge:g}{unit} or above",
    "less_than": "below {lt:g}{unit}",
    "less_than_equal": "at most {le:g}{unit}",
    "finite_number": "finite",
    "literal_error": "one of {expected}",
}
_UNITS = {
    **{"_bq_per_ml": "Bq/mL", "_cps_per_mbq": "cps/MBq", "_cps": "1/s", "_mbq": "MBq"},
    **{"_pct": "%", "_mm": "mm", "_kev": "keV", "_us": "µs", "_h": "h", "_s": "s"},
}
"""End of a name → unit."""


def _typed_sentence(name: str, fault: Mapping[str, Any]) -> str:
    unit = next((f" {unit}" for end, unit in _UNITS.items() if name.endswith(end)), "")
    if fault["type"] not in _HOLDS:
        return f"{_flag(name)}: {fault['msg'].removeprefix('Value error, ')}"
    holds = _HOLDS[fault["type"]].format(unit=unit, **fault.get("ctx", {}))
    holds = holds.replace(" or '", ", '").replace("'", "")
    got = fault["input"]
    got = f"'{got}'" if isinstance(got, str) else f"{got:g}{unit}"
    return f"{_flag(name)} must be {holds}, got {got}."


def fault_sentence(error: ValidationError) -> str:
    """Tell the first fault of a file's content and its place; no text of it is repeated."""
    faults = error.errors()
    fault = faults[0]
    place = ".".join(map(str, fault["loc"]))
    got = f", got {fault['input']!r}" if isinstance(fault["input"], int | float) else ""
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    message = fault["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{place + ': ' if place else ''}{message}{got}{more}."


def read_yaml(path: Path, *, noun: str) -> Any:
    """Read a YAML file in which every key stands once.

    Args:
        noun: What a refusal calls it.

    Raises:
        BadInput: It is no such file.
    """
    import yaml

    class UniqueKeys(yaml.SafeLoader):
        """A loader that refuses a key given twice, of which YAML would keep the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and str(key.value) in seen:
                    raise yaml.MarkedYAMLError(problem="key repeated", problem_mark=key.start_mark)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    if not path.exists():
        raise BadInput(
            f"{noun} must be a readable YAML file in UTF-8, and there is no file '{path}'. Check "
            "the path."
        )
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)
    except yaml.MarkedYAMLError as error:
        line = "a line" if error.problem_mark is None else f"line {error.problem_mark.line + 1}"
        raise BadInput(
            f"{noun} must be YAML with every key once, and at {line} it is not, in '{path}'."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(
            f"{noun} must be a readable YAML file in UTF-8, and '{path}' is not."
        ) from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let refusals of what a path holds repeat it as it was typed."""
    try:
        yield
    except BadInput as error:
        if _is_repeated(str(path), str(error)):
            raise
        raise BadInput(f"'{path}': {error}") from error


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

    Between two items it moves by what ``tell_done`` tells of the one at hand.
    """
    with progress_bar(description, total=len(items)) as move:
        for number, item in enumerate(items):
            with _listening(partial(_move_from, move, number)):
                yield item
            move(number + 1)


def _move_from(move: Callable[[float], None], begun: int, share: float) -> None:
    move(begun + share)


@contextmanager
def progress_bar(
    description: str, *, total: float, transient: bool = False
) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr, which goes at the end if it is transient, and yield what moves it.

    Without rich's threads, which an exception would leave behind.
    """
    # Where stderr is a file, a bar would leave a line at the end, which a transient one must not.
    nowhere = transient and not stderr.is_terminal
    with Progress(console=stderr, auto_refresh=False, transient=transient, disable=nowhere) as bar:
        task = bar.add_task(description, total=total)
        bar.refresh()

        def move(done: float) -> None:
            bar.update(task, completed=done)
            bar.refresh()

        yield move


@contextmanager
def at_work(description: str) -> Iterator[None]:
    """Show a bar that moves by what ``tell_done`` tells of the work within."""
    bar = progress_bar(description, total=1.0, transient=True)  # a refusal stands alone
    with bar as move, _listening(move):
        yield
        move(1.0)


def tell_done(share: float) -> None:
    """Tell which share of the work at hand is done, 0 to 1; where no bar is shown, nobody."""
    if _listeners:
        _listeners[-1](share)


@contextmanager
def part_of_work(begin: float, end: float) -> Iterator[None]:
    """Make a part of the work at hand: within, ``tell_done`` tells shares of it.

    Args:
        begin: Share of the whole that is done before it.
        end: Share that is done after it.
    """
    outer = _listeners[-1] if _listeners else None

    def within(share: float) -> None:
        if outer is not None:
            outer(begin + (end - begin) * share)

    within(0.0)
    with _listening(within):
        yield
    within(1.0)


@contextmanager
def _listening(listener: Callable[[float], None]) -> Iterator[None]:
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def listen(listener: Callable[[float], None]) -> None:
    """Let a listener hear ``tell_done`` from now on, as a process of its own does."""
    _listeners.append(listener)


Result = TypeVar("Result")
Shares = SimpleQueue[tuple[int, float]]
"""Number of an item, and the share of it that is done."""

LOOK_S = 0.2
"""How often the bar is moved by what workers tell."""
LEAST_SHARE = 0.01
"""What a worker has done before it tells again."""


def in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """Apply ``function`` to every item in processes of their own, under a progress bar.

    The bar moves by what ``function`` tells through ``rpt_cohort.command.tell_done``, too.

    Args:
        function: Of one item; must be picklable, as items and results must.
        items: What to work on.
        description: Of the progress bar.
        workers: Processes; by default one for each core. With 1, or one item, the work is
            done here.

    Returns:
        The results, in the order of the items.

    Raises:
        BadInput: ``workers`` is below 1. Whatever ``function`` raises goes on to the
            caller; items that have not begun are dropped.
    """
    if workers is not None and workers < 1:
        raise BadInput(f"workers must be 1 or above, got {workers}.")
    processes = min(workers or os.cpu_count() or 1, len(items))
    if processes <= 1:
        with closing(progress(items, description)) as shown:
            return [function(item) for item in shown]
    # Not forked: a fork of a process with threads (torch's, say) can wait for ever.
    context = get_context("spawn")
    shares: Shares = context.SimpleQueue()
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin_worker, initargs=(shares,)
    )
    try:
        futures = [pool.submit(_numbered, function, at, item) for at, item in enumerate(items)]
        with progress_bar(description, total=len(items)) as move:
            _show_until_done(futures, shares, move)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _show_until_done(
    futures: Sequence[Future[Result]], shares: Shares, move: Callable[[float], None]
) -> None:
    """Move the bar until all items are done or one has failed, which is raised."""
    number = {future: at for at, future in enumerate(futures)}
    done = [0.0] * len(futures)
    waiting = set(futures)
    while waiting:
        ended, waiting = wait_for(waiting, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        while not shares.empty():
            at, share = shares.get()
            done[at] = max(done[at], share)
        for future in ended:
            future.result()
            done[number[future]] = 1.0
        move(sum(done))


def _numbered(function: Callable[[Item], Result], number: int, item: Item) -> Result:
    global _number, _told
    _number, _told = number, 0.0
    return function(item)


_number, _told = 0, 0.0
"""In a worker: its item, and what it told of it last."""


def _pass_on(shares: Shares, share: float) -> None:
    global _told
    if share >= _told + LEAST_SHARE:
        _told = share
        shares.put((_number, share))


def _begin_worker(shares: Shares) -> None:
    """Leave interrupts to the parent, which drops what waits, and end where it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listen(partial(_pass_on, shares))
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that is terminated or killed cannot tell its workers; its sentinel does, which the
    # system makes ready when the parent is gone.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
