"""The input function that a command's ``--input`` names, and what it says of itself in JSON."""

from pathlib import Path
from typing import Any

import numpy as np

from rpt_kinetics.errors import BadInput
from rpt_kinetics.inputs import NAMED_INPUTS, InputFunction


def named_or_file(name: str) -> InputFunction | Path:
    """Return the input function of that name, or the CSV of that path.

    Raises:
        BadInput: There is neither.
    """
    if name in NAMED_INPUTS:
        return NAMED_INPUTS[name]()
    path = Path(name)
    if not path.is_file():
        raise BadInput(
            f"--input must be {', '.join(NAMED_INPUTS)} or a CSV file, and '{path.name}' is none "
            "of them. Check the spelling and the folder."
        )
    return path


def or_no_decay(half_life_min: float | None) -> float | None:
    """Return the half-life, min, or None for ``inf``: JSON has no infinity; both mean no decay."""
    return None if half_life_min == np.inf else half_life_min


def described(input_function: InputFunction) -> dict[str, Any]:
    """Return what an input function says of itself."""
    return {
        "name": input_function.name,
        "unit": input_function.unit,
        "measured": input_function.measured,
        "decay_corrected": input_function.decay_corrected,
        "assumptions": list(input_function.assumptions),
        "source": input_function.source,
    }
