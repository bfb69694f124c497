"""PyTomography is imported late, quietly, and used on one thread."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
from rpt_cohort import BadInput


def tomography() -> ModuleType:
    """Import ``rpt_phantom.spect.tomography``, which needs PyTomography.

    PyTomography switches off warnings and NumPy's error state for the whole process as it is
    imported: both are put back.

    Raises:
        BadInput: PyTomography is not installed.
    """
    try:
        with warnings.catch_warnings(), np.errstate():
            return importlib.import_module("rpt_phantom.spect.tomography")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rpt_"):
            raise
        raise BadInput(
            f"PyTomography must be installed to image by SPECT, and {error.name} is missing. "
            "Install rpt-phantom[full]."
        ) from error


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch count on one thread: sums are then in one order in whatever process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)
