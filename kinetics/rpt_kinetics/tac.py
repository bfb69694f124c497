"""The ``tac`` command: one tissue's curve as a table, its time-integrated activity as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rpt_kinetics.checking import times_min
from rpt_kinetics.curves import read_fit_input
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.input_choice import described, named_or_file, or_no_decay
from rpt_kinetics.inputs import InputFunction
from rpt_kinetics.measured import read_input_csv
from rpt_kinetics.models import (
    pet_concentration,
    time_integrated_activity,
    tissue_concentration,
)
from rpt_kinetics.rates import Rates
from rpt_kinetics.tables import read_table
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
        BadInput: A value is out of range, the time-integrated activity diverges, or an output
            would replace the input.
    """
    if out.suffix != ".csv":
        raise BadInput(
            f"--out must be a file name that ends in .csv, got '{out.name}'. "
            "Name it for example TAC.csv."
        )
    half_life_min = or_no_decay(half_life_min)
    time = read_times(times_text)
    input_function, files = choose_input(
        input_name, half_life_min=np.inf if half_life_min is None else half_life_min
    )
    targets = (out, out.with_suffix(".json"))
    _keep_inputs(files, targets)
    table, tia_min = tissue_curve(rates, input_function, time, half_life_min=half_life_min)
    content = {
        "tia_min": tia_min,
        "tia_unit": f"{input_function.unit} min",
        "half_life_min": half_life_min,
        "unit": input_function.unit,
        "input": described(input_function),
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
    write_together(dict(zip(targets, (table_bytes(table), json_bytes(content)), strict=True)))
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
        BadInput: The integral diverges, or a number overflows.
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
            raise BadInput(
                f"{name} must be finite, and is too large or too small to compute. Check the rate "
                "constants (K1 in mL/min/mL, k2, k3 and k4 in 1/min) and the units of the input."
            )
    return table, float(tia)


def _keep_inputs(files: Sequence[Path], targets: Sequence[Path]) -> None:
    for target in targets:
        if target.exists() and any(target.samefile(file) for file in files):
            raise BadInput(
                f"--out must not replace the input, and '{target.name}' is the file that --input "
                "names. Give another name."
            )


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


def choose_input(name: str, *, half_life_min: float) -> tuple[InputFunction, list[Path]]:
    """Return the input function of that name, or of that CSV, and the files read for it.

    A CSV whose column ``decay_correction`` says ``none`` is corrected to its time 0; one without
    that column is taken as corrected, and its ``assumptions`` say so.

    Args:
        name: As of ``--input``.
        half_life_min: Physical half-life, min, ``inf`` for none.

    Raises:
        BadInput: There is neither, or the CSV is at fault or lacks a half-life.
    """
    chosen = named_or_file(name)
    if isinstance(chosen, InputFunction):
        return chosen, []
    if "decay_correction" in read_table(chosen).columns:
        return read_fit_input(chosen, half_life_min=half_life_min), [chosen]
    return read_input_csv(chosen), [chosen]


def _parameters(rates: Rates) -> dict[str, Any]:
    names = ("k1_ml_per_min_per_ml", "k2_per_min", "k3_per_min", "k4_per_min", "vb")
    return {name: float(getattr(rates, name)) for name in names}
