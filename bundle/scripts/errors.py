"""The exception that tells the user what to mend, and how its sentence stays the last line."""

import sys
from pathlib import Path
from types import TracebackType

EXIT_BAD_INPUT = 2


class BadInput(ValueError):
    """An input that cannot be used: what must hold, what came, the likely fix."""


def bad_input_behind(error: BaseException | None) -> BadInput | None:
    """Return the ``BadInput`` in the chain of causes of ``error``, if there is one."""
    while error is not None and not isinstance(error, BadInput):
        error = error.__cause__ or error.__context__
    return error


def is_monai_command() -> bool:
    """Say whether this process is ``python -m monai.bundle``, and not a host of its own."""
    return Path(sys.argv[0]).parts[-3:] == ("monai", "bundle", "__main__.py")


def _say_the_sentence(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say what is to be mended: in MONAI's command alone, elsewhere after the traceback."""
    cause = bad_input_behind(error)
    if cause is None or not is_monai_command():
        _previous_hook(kind, error, trace)
    if cause is None:
        return
    sys.stderr.write(f"\n{cause}\n")
    if is_monai_command():
        raise SystemExit(EXIT_BAD_INPUT)


# MONAI's config parser wraps every exception in a RuntimeError of its own, which would
# stand last. The hook sees none that a server catches: it is called where a process ends.
_previous_hook = sys.excepthook
sys.excepthook = _say_the_sentence
