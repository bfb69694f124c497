"""Measured input functions: linear between the samples, and what is assumed around them."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from rpt_kinetics.checking import LARGEST_ACTIVITY, LARGEST_TIME_MIN
from rpt_kinetics.decay_words import stated_decay_correction
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.inputs import LN2, SUV, InputFunction, Measured
from rpt_kinetics.piecewise import Curve, linear_curve
from rpt_kinetics.tables import Table, read_table

# Ending of a column of activities → unit.
ACTIVITY_UNITS = {
    "suv": SUV,
    "suv_g_per_ml": SUV,
    "percent_ia_per_l": "%IA/L",
    "bq_per_ml": "Bq/mL",
    "kbq_per_ml": "kBq/mL",
    "mbq_per_ml": "MBq/mL",
    "uci_per_ml": "uCi/mL",
}
FLUIDS = ("plasma", "blood")
TAIL_SAMPLES = 3
SMALLEST_FALL = 1e-9
# Ours: nearer samples are one, and the slope between them could overflow.
SMALLEST_STEP_MIN = 1e-9
INPUT_CORRECTIONS = ("injection", "none")


def read_input_csv(path: Path, *, decay_corrected: bool | None = None) -> InputFunction:
    """Read an input function; columns say what they hold.

    ``time_min``, ``time_s`` or ``time_h``, and ``plasma_UNIT`` or ``blood_UNIT`` or both, UNIT
    one of suv, suv_g_per_ml, percent_ia_per_l, bq_per_ml, kbq_per_ml, mbq_per_ml, uci_per_ml.
    Other columns are ignored. See :func:`measured_input` for what is assumed around the samples.

    Args:
        path: CSV.
        decay_corrected: Whether the samples are corrected for decay to time 0; None if a column
            ``decay_correction`` says it (``injection`` or ``none``), and without one they are
            taken as corrected, which ``assumptions`` then tells.

    Raises:
        BadInput: A column is missing or of an unknown unit, times are unsorted or negative, or a
            sample is negative or no number.
    """
    table = read_table(path)
    columns = {fluid: _fluid_column(table, fluid) for fluid in FLUIDS}
    found = {fluid: column for fluid, column in columns.items() if column}
    if not found:
        raise BadInput(
            f"{path.name} must have a column plasma_UNIT or blood_UNIT, UNIT one of "
            f"{', '.join(ACTIVITY_UNITS)}; got {', '.join(table.columns)}. Name the column so."
        )
    units = {ACTIVITY_UNITS[column.partition("_")[2]] for column in found.values()}
    if len(units) > 1:
        raise BadInput(
            f"{path.name} must give plasma and blood in one unit, got "
            f"{' and '.join(sorted(units))}. Convert one of the two."
        )
    if decay_corrected is None and "decay_correction" in table.columns:
        decay_corrected = stated_decay_correction(table, allowed=INPUT_CORRECTIONS) == "injection"
    return measured_input(
        table.minutes("time"),
        plasma=table.numbers(found["plasma"]) if "plasma" in found else None,
        blood=table.numbers(found["blood"]) if "blood" in found else None,
        unit=units.pop(),
        name="measured",
        source="a CSV file",
        decay_corrected=decay_corrected,
    )


def _fluid_column(table: Table, fluid: str) -> str | None:
    found = [column for column in table.columns if column.split("_")[0] == fluid]
    if len(found) > 1:
        raise BadInput(
            f"{table.name} must have one column of {fluid}, got {', '.join(found)}. "
            "Leave the others out."
        )
    if found and found[0].partition("_")[2] not in ACTIVITY_UNITS:
        raise BadInput(
            f"{table.name}: column '{found[0]}' must be named {fluid}_UNIT, UNIT one of "
            f"{', '.join(ACTIVITY_UNITS)}. Convert the samples to such a unit, and name it."
        )
    return found[0] if found else None


def measured_input(
    time_min: ArrayLike,
    *,
    plasma: ArrayLike | None = None,
    blood: ArrayLike | None = None,
    unit: str,
    name: str,
    source: str,
    decay_corrected: bool | None = None,
) -> InputFunction:
    """Return the input through samples of plasma, of blood, or of both.

    Ours, and listed in its ``assumptions``: it rises linearly from 0 at time 0 to a first sample
    that is later; after the last sample it falls as a mono-exponential fitted to the logarithms
    of the last three samples above 0 (held constant, so that only physical decay is left, where
    they do not fall); where one of plasma and blood is missing, the two are equal.

    Args:
        time_min: Sample times, min after the injection, increasing. Shape (m,).
        plasma: Samples of plasma, ``unit``. Shape (m,).
        blood: Samples of whole blood, ``unit``. Shape (m,).
        unit: Unit of the samples.
        name: Short name.
        source: Where they come from.
        decay_corrected: Whether the samples are corrected for decay to time 0; None takes them
            as corrected, and lists that among the assumptions.

    Raises:
        BadInput: Times are unsorted or negative, a sample is negative or not finite, one of the
            two is beyond what can be (:mod:`checking`), lengths disagree, or neither plasma nor
            blood is given.
    """
    time = _sample_times(time_min)
    samples = {"plasma": plasma, "blood": blood}
    given = {f: _samples(f, value, time) for f, value in samples.items() if value is not None}
    if not given:
        raise BadInput("Samples of plasma or of blood must be given, got neither. Give one.")
    assumptions = [] if len(given) == 2 else ["plasma and blood are equal"]
    if decay_corrected is None:
        assumptions.append("taken as corrected for decay to time 0")
    if time[0] > 0:
        assumptions.append(f"linear from 0 at time 0 to the first sample at {time[0]:g} min")
        given = {fluid: np.append(0.0, value) for fluid, value in given.items()}
        time = np.append(0.0, time)
    curves: dict[str, Curve] = {}
    for fluid, value in given.items():
        rate = _tail_rate_per_min(time, value)
        curves[fluid] = linear_curve(time, value, tail_rate_per_min=rate)
        fall = f"falls with a half-life of {LN2 / rate:g} min" if rate > 0 else "is held constant"
        assumptions.append(f"after the last sample at {time[-1]:g} min, {fluid} {fall}")
    measured: Measured = "plasma and blood"
    if len(given) == 1:
        measured = "plasma" if plasma is not None else "blood"
    return InputFunction(
        name=name,
        plasma=curves.get("plasma") or curves["blood"],
        blood=curves.get("blood") or curves["plasma"],
        unit=unit,
        measured=measured,
        decay_corrected=decay_corrected is not False,
        assumptions=tuple(assumptions),
        source=source,
    )


def _sample_times(time_min: ArrayLike) -> Floats:
    time = np.asarray(time_min, dtype=np.float64)
    if time.ndim != 1 or len(time) < 2:
        raise BadInput(
            f"An input function must have at least two samples, got times of shape {time.shape}. "
            "Add samples."
        )
    if not np.all(np.isfinite(time) & (time >= 0)):
        raise BadInput(
            f"Times of an input function must be finite and at least 0 min, got {time.min():g} "
            "min. Leave samples before the injection out, or move the time zero to it."
        )
    if time.max() > LARGEST_TIME_MIN:
        raise BadInput(
            f"Times of an input function must be at most {LARGEST_TIME_MIN:g} min, got "
            f"{time.max():g} min. Check their unit."
        )
    if np.any(np.diff(time) <= 0):
        index = int(np.argmax(np.diff(time) <= 0))
        raise BadInput(
            f"Times of an input function must increase, got {time[index]:g} min before "
            f"{time[index + 1]:g} min. Sort the samples; average those of one time."
        )
    steps = np.diff(np.union1d(0.0, time))
    if steps.min() < SMALLEST_STEP_MIN:
        raise BadInput(
            f"Times of an input function must be at least {SMALLEST_STEP_MIN:g} min apart, and "
            f"after 0 min, got {steps.min():g} min between two. Check their unit; average samples "
            "of one time."
        )
    return time


def _samples(fluid: str, value: ArrayLike, time: Floats) -> Floats:
    samples = np.asarray(value, dtype=np.float64)
    if samples.shape != time.shape:
        raise BadInput(
            f"Samples of {fluid} must be as many as times, got shapes {samples.shape} and "
            f"{time.shape}. Give one sample for each time."
        )
    if not np.all(np.isfinite(samples) & (samples >= 0)):
        raise BadInput(
            f"Samples of {fluid} must be finite and at least 0, and one is not. "
            "Set what noise made negative to 0, or leave the sample out."
        )
    if samples.max() > LARGEST_ACTIVITY:
        raise BadInput(
            f"Samples of {fluid} must be at most {LARGEST_ACTIVITY:g} of their unit, got "
            f"{samples.max():g}. Check the column and its unit."
        )
    if not samples.max() > 0:
        raise BadInput(f"A sample of {fluid} must be above 0, and all are 0. Check the column.")
    return samples


def _tail_rate_per_min(time: Floats, value: Floats) -> float:
    tail = value[-TAIL_SAMPLES:] > 0
    if value[-1] == 0 or tail.sum() < 2:
        return 0.0
    last_times = time[-TAIL_SAMPLES:][tail]
    rate = -float(np.polyfit(last_times, np.log(value[-TAIL_SAMPLES:][tail]), 1)[0])
    # Of equal samples the fit leaves a rounding error, which is no fall.
    return rate if rate * (last_times[-1] - last_times[0]) > SMALLEST_FALL else 0.0
