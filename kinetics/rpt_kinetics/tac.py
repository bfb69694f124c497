"""The ``tac`` command: one tissue's curve as a table, its time-integrated activity as JSON."""

from pathlib import Path

import numpy as np
from rpt_cohort import json_bytes, provenance, table_bytes, write_together

from rpt_kinetics.curves import Floats
from rpt_kinetics.inputs import NAMED_INPUTS, InputFunction, NamedInput
from rpt_kinetics.models import (
    Rates,
    pet_concentration,
    time_integrated_activity,
    times_min,
    tissue_concentration,
)

TOLD = ("name", "unit", "measured", "decay_corrected", "assumptions", "source")
"""What the JSON says of an input function."""


def write_tac(
    rates: Rates, *, input_name: NamedInput, times_text: str, half_life_min: float | None, out: Path
) -> InputFunction:
    """Write OUT.csv (time_min, c_pet, c_tissue, c_plasma) and OUT.json (tia_min) of one tissue.

    Args:
        rates: Shape ().
        times_text: Instants, min, ascending, separated by commas.
        half_life_min: Physical half-life, min; None for no decay.
        out: The CSV to write.

    Returns:
        The input function that was used.

    Raises:
        ValueError: A value is out of range, or the time-integrated activity diverges.
    """
    if out.suffix != ".csv":
        raise ValueError(
            f"--out must be a file name that ends in .csv, got '{out.name}'. "
            "Name it for example TAC.csv."
        )
    if half_life_min == np.inf:  # no decay; JSON has no infinity
        half_life_min = None
    time = read_times(times_text)
    input_function = NAMED_INPUTS[input_name]()
    with np.errstate(all="ignore"):  # what overflows is refused below
        tia_min = time_integrated_activity(
            rates, input_function, half_life_min=np.inf if half_life_min is None else half_life_min
        )
        table = {
            "time_min": time,
            "c_pet": pet_concentration(rates, input_function, time),
            "c_tissue": tissue_concentration(rates, input_function, time),
            "c_plasma": input_function.plasma.value(time),
        }
    for name, values in {**table, "tia_min": tia_min}.items():
        if not np.all(np.isfinite(values)):
            raise ValueError(
                f"{name} must be finite, and is too large or too small to compute. Check the rate "
                "constants (K1 in mL/min/mL, k2, k3 and k4 in 1/min)."
            )
    content = {
        "tia_min": float(tia_min),
        "tia_unit": f"{input_function.unit} min",
        "half_life_min": half_life_min,
        "unit": input_function.unit,
        "input": {name: getattr(input_function, name) for name in TOLD},
        "provenance": provenance(
            package="rpt-kinetics",
            command="tac",
            libraries=("numpy", "scipy"),
            parameters={name: float(value) for name, value in vars(rates).items()}
            | {
                "input": input_function.name,
                "times_min": time.tolist(),
                "half_life_min": half_life_min,
            },
        ),
    }
    write_together({out: table_bytes(table), out.with_suffix(".json"): json_bytes(content)})
    return input_function


def read_times(text: str) -> Floats:
    """Return the times of a list such as ``0,1,2.5``, min.

    Raises:
        ValueError: One is no number, or they are negative or do not ascend.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"--times-min must be numbers in min separated by commas, got '{text}'. "
            "Write for example 0,1,2.5,60."
        ) from error
    return times_min("--times-min", numbers)
