"""The ``tac`` command: one tissue's curve as a table, its time-integrated activity as JSON."""

from pathlib import Path
from typing import Any

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


def write_tac(
    rates: Rates,
    *,
    input_name: NamedInput,
    times_text: str,
    half_life_min: float | None,
    out: Path,
) -> InputFunction:
    """Write OUT.csv (time_min, c_pet, c_tissue, c_plasma) and OUT.json (tia_min).

    Args:
        rates: One tissue, shape ().
        input_name: Of the input function.
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
    table, tia_min = tissue_curve(rates, input_function, time, half_life_min=half_life_min)
    content = {
        "tia_min": tia_min,
        "tia_unit": f"{input_function.unit} min",
        "half_life_min": half_life_min,
        "unit": input_function.unit,
        "input": described(input_function),
        "provenance": provenance(
            package="rpt-kinetics",
            command="tac",
            libraries=("numpy", "scipy"),
            parameters=_parameters(rates)
            | {
                "input": input_function.name,
                "times_min": time.tolist(),
                "half_life_min": half_life_min,
            },
        ),
    }
    write_together({out: table_bytes(table), out.with_suffix(".json"): json_bytes(content)})
    return input_function


def tissue_curve(
    rates: Rates, input_function: InputFunction, time_min: Floats, *, half_life_min: float | None
) -> tuple[dict[str, Floats], float]:
    """Return the columns of one tissue's table, and its time-integrated activity.

    Args:
        rates: One tissue, shape ().
        input_function: Corrected for decay.
        time_min: Instants, min. Shape (m,).
        half_life_min: Physical half-life, min; None for no decay.

    Returns:
        ``time_min`` (min), ``c_pet``, ``c_tissue`` and ``c_plasma`` (the input's unit), shape
        (m,) each; and the integral of C_PET·e^(−λt) to infinity, the input's unit times min.

    Raises:
        ValueError: The integral diverges, or a number overflows.
    """
    with np.errstate(all="ignore"):  # what overflows is refused below
        tia = time_integrated_activity(
            rates,
            input_function,
            half_life_min=np.inf if half_life_min is None else half_life_min,
        )
        table = {
            "time_min": time_min,
            "c_pet": pet_concentration(rates, input_function, time_min),
            "c_tissue": tissue_concentration(rates, input_function, time_min),
            "c_plasma": input_function.plasma.value(time_min),
        }
    for name, values in {**table, "tia_min": tia}.items():
        if not np.all(np.isfinite(values)):
            raise ValueError(
                f"{name} must be finite, and is too large or too small to compute. Check the rate "
                "constants (K1 in mL/min/mL, k2, k3 and k4 in 1/min) and the units of the input."
            )
    return table, float(tia)


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


def _parameters(rates: Rates) -> dict[str, Any]:
    names = ("k1_ml_per_min_per_ml", "k2_per_min", "k3_per_min", "k4_per_min", "vb")
    return {name: float(getattr(rates, name)) for name in names}
