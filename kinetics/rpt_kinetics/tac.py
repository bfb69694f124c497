"""The ``tac`` command: one tissue's curve as a table, its time-integrated activity as JSON."""

from pathlib import Path
from typing import Any

import numpy as np

from rpt_kinetics.checking import times_min
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import NAMED_INPUTS, InputFunction
from rpt_kinetics.measured import read_input_csv
from rpt_kinetics.models import (
    pet_concentration,
    time_integrated_activity,
    tissue_concentration,
)
from rpt_kinetics.rates import Rates
from rpt_kinetics.writing import file_sha256, json_bytes, provenance, table_bytes, write_together


def write_tac(
    rates: Rates,
    *,
    input_name: str,
    times_text: str,
    half_life_min: float | None,
    out: Path,
) -> InputFunction:
    """Write OUT.csv (time_min, c_pet, c_tissue, c_plasma) and OUT.json (tia_min).

    Args:
        rates: One tissue, shape ().
        input_name: ``feng``, ``kabasakal``, ``siebinga`` or the path of a CSV.
        times_text: Instants, min, ascending, separated by commas.
        half_life_min: Physical half-life, min; None for no decay.
        out: The CSV to write.

    Returns:
        The input function that was used.

    Raises:
        BadInput: A value is out of range, or the time-integrated activity diverges.
    """
    if out.suffix != ".csv":
        raise BadInput(f"--out must be a file name that ends in .csv, got '{out.name}'.")
    if half_life_min is not None and np.isinf(half_life_min):
        half_life_min = None  # JSON has no infinity; both mean no decay
    time = read_times(times_text)
    input_function, files = choose_input(input_name)
    tia = time_integrated_activity(
        rates,
        input_function,
        half_life_min=np.inf if half_life_min is None else half_life_min,
    )
    table = {
        "time_min": time,
        "c_pet": pet_concentration(rates, input_function, time),
        "c_tissue": tissue_concentration(rates, input_function, time),
        "c_plasma": input_function.plasma.value(time),
    }
    content = {
        "tia_min": float(tia),
        "tia_unit": f"{input_function.unit} min",
        "half_life_min": half_life_min,
        "unit": input_function.unit,
        "input": _described(input_function),
        "provenance": provenance(
            command="tac",
            parameters=_parameters(rates)
            | {
                "input": input_function.name,
                "times_min": time.tolist(),
                "half_life_min": half_life_min,
            },
            inputs={file.name: file_sha256(file) for file in files},
        ),
    }
    write_together({out: table_bytes(table), out.with_suffix(".json"): json_bytes(content)})
    return input_function


def read_times(text: str) -> Floats:
    """Return the times of a list such as ``0,1,2.5``, min.

    Raises:
        BadInput: One is no number, or they are negative or do not ascend.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInput(
            f"--times-min must be numbers in min separated by commas, got '{text}'. "
            "Write for example 0,1,2.5,60."
        ) from error
    return times_min("--times-min", numbers)


def choose_input(name: str) -> tuple[InputFunction, list[Path]]:
    """Return the input function of that name, or of that CSV, and the files read for it.

    Raises:
        BadInput: There is neither, or the CSV is at fault.
    """
    if name in NAMED_INPUTS:
        return NAMED_INPUTS[name](), []
    path = Path(name)
    if not path.is_file():
        raise BadInput(
            f"--input must be {', '.join(NAMED_INPUTS)} or a CSV file, and '{path.name}' is none "
            "of them. Check the spelling and the folder."
        )
    return read_input_csv(path), [path]


def _parameters(rates: Rates) -> dict[str, Any]:
    names = ("k1_ml_per_min_per_ml", "k2_per_min", "k3_per_min", "k4_per_min", "vb")
    return {name: float(getattr(rates, name)) for name in names}


def _described(input_function: InputFunction) -> dict[str, Any]:
    return {
        "name": input_function.name,
        "measured": input_function.measured,
        "decay_corrected": input_function.decay_corrected,
        "assumptions": list(input_function.assumptions),
        "source": input_function.source,
    }
