"""The exception that tells the user what to mend, and how it stays the last line."""

import sys
from types import TracebackType


class BadInput(ValueError):
    """An input that cannot be used: what must hold, what came, the likely fix."""


def bad_input_behind(error: BaseException | None) -> BadInput | None:
    """Return the ``BadInput`` in the chain of causes of ``error``, if there is one."""
    while error is not None and not isinstance(error, BadInput):
        error = error.__cause__ or error.__context__
    return error


def _say_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _previous_hook(kind, error, trace)
    cause = bad_input_behind(error)
    if cause is not None:
        sys.stderr.write(f"\n{cause}\n")


# MONAI's config parser wraps every exception in a RuntimeError of its own, which would
# stand last. Exiting instead would kill a server that runs this bundle.
_previous_hook = sys.excepthook
sys.excepthook = _say_last
