"""Region curves and frames read from CSV, brought to one clock and one decay correction.

Two errors are common here: a decay correction to another time zero than the model's, and a scan
that starts before or after the injection. So a curve says to what it is corrected, frames say
when the injection was on their clock, and both are used once, when the curve is read.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rpt_kinetics.checking import LARGEST_ACTIVITY, positive
from rpt_kinetics.decay_words import stated_decay_correction
from rpt_kinetics.errors import BadInput
from rpt_kinetics.exponentials import Floats
from rpt_kinetics.frames import Frames, to_injection
from rpt_kinetics.inputs import HALF_LIVES, InputFunction, percent_ia_per_l_to_suv
from rpt_kinetics.measured import ACTIVITY_UNITS, INPUT_CORRECTIONS, read_input_csv
from rpt_kinetics.tables import Table, read_table

BQ_PER_ML = {"Bq/mL": 1.0, "kBq/mL": 1e3, "MBq/mL": 1e6, "uCi/mL": 3.7e4}
# Ours: no measurement is more exact, and squares of smaller shares could overflow.
SMALLEST_SHARE = 1e-15


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionCurve:
    """The mean activity of a region over frames, corrected for decay to the injection.

    Attributes:
        frames: Its frames, shape (m,).
        activity: ``unit``; noise may make it negative. Shape (m,).
        standard_deviation: Of one frame's activity, ``unit``. Shape (m,).
        unit: As of an input function.

    Raises:
        BadInput: Lengths disagree, a value is not finite or beyond what can be, or a standard
            deviation not above 0.
    """

    frames: Frames
    activity: Floats
    standard_deviation: Floats
    unit: str

    def __post_init__(self) -> None:
        """Refuse values that cannot be fitted."""
        for name in ("activity", "standard_deviation"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (len(self.frames),):
                raise BadInput(
                    f"{name} must hold one value for each of {len(self.frames)} frames, got shape "
                    f"{values.shape}. Leave frames without a value out."
                )
            fine = np.abs(values) <= LARGEST_ACTIVITY
            if not np.all(fine):
                raise BadInput(
                    f"{name} must be finite and at most {LARGEST_ACTIVITY:g} {self.unit}, got "
                    f"{values[~fine][0]:g} {self.unit} in frame {int(np.argmin(fine)) + 1}. Leave "
                    "the frame out, or check the unit."
                )
            object.__setattr__(self, name, values)
        least = SMALLEST_SHARE * np.abs(self.activity).max()
        fine = (self.standard_deviation > 0) & (self.standard_deviation >= least)
        if not np.all(fine):
            index = int(np.argmin(fine))
            share = "" if self.standard_deviation[index] <= 0 else f" and at least {least:g}"
            raise BadInput(
                f"standard_deviation must be above 0{share} {self.unit}, got "
                f"{self.standard_deviation[index]:g} {self.unit} in frame {index + 1}. "
                "Estimate it from the counts, or leave the frame out."
            )

    def in_unit(self, unit: str) -> "RegionCurve":
        """Return the curve in the unit of an input function.

        Raises:
            BadInput: One unit does not turn into the other without the patient's data.
        """
        factor = unit_factor(self.unit, unit)
        return replace(
            self,
            activity=factor * self.activity,
            standard_deviation=factor * self.standard_deviation,
            unit=unit,
        )


def unit_factor(unit: str, wanted: str) -> float:
    """Return the factor that turns ``unit`` into ``wanted``.

    Raises:
        BadInput: There is none without the patient's weight or the injected activity.
    """
    if unit == wanted:
        return 1.0
    if unit in BQ_PER_ML and wanted in BQ_PER_ML:
        return BQ_PER_ML[unit] / BQ_PER_ML[wanted]
    raise BadInput(
        f"Data and input function must be in one unit, got {unit} and {wanted}. Give both in "
        "SUV or in activity per mL; --weight-kg turns an input in %IA/L into SUV."
    )


def read_region_curve(
    path: Path,
    *,
    decay_correction: str | None = None,
    half_life_min: float = np.inf,
    injection_min: float = 0.0,
) -> RegionCurve:
    """Read a region curve and bring it to decay correction to the injection.

    Columns: ``frame_start_min``, ``_s`` or ``_h``, ``frame_end_min``, ``_s`` or ``_h``,
    ``activity_UNIT``, ``standard_deviation_UNIT`` (UNIT as for input functions: suv, suv_g_per_ml,
    percent_ia_per_l, bq_per_ml, kbq_per_ml, mbq_per_ml, uci_per_ml), and, unless
    ``decay_correction`` is given, ``decay_correction``. Other columns are ignored.

    Args:
        path: CSV.
        decay_correction: ``injection``, ``scan_start`` (the first frame's start) or ``none``.
        half_life_min: Physical half-life, min; needed unless corrected to the injection.
        injection_min: The injection on the frames' clock, min; negative if before its zero.

    Raises:
        BadInput: A column is missing, of an unknown unit or no number, frames are at fault, a
            standard deviation is not above 0, or the decay correction is not stated.
    """
    table = read_table(path)
    frames = _frames_of(table, injection_min)
    correction = stated_decay_correction(table, decay_correction, option="--decay-correction")
    columns = {name: _unit_column(table, name) for name in ("activity", "standard_deviation")}
    units = {
        name: ACTIVITY_UNITS[column.removeprefix(f"{name}_")] for name, column in columns.items()
    }
    spread = table.numbers(columns["standard_deviation"])
    spread *= unit_factor(units["standard_deviation"], units["activity"])
    factor = to_injection(frames, correction, half_life_min=half_life_min)
    return RegionCurve(
        frames=frames,
        activity=table.numbers(columns["activity"]) * factor,
        standard_deviation=spread * factor,
        unit=units["activity"],
    )


def read_frames(
    path: Path, *, unit: str, decay_correction: str | None = None, injection_min: float = 0.0
) -> tuple[Frames, str, Floats | None]:
    """Read the frames of a dynamic image.

    Columns as for :func:`read_region_curve`; ``standard_deviation_UNIT`` may be missing, and
    ``activity_UNIT`` is not read.

    Args:
        path: CSV.
        unit: Of the standard deviations returned, as of an input function.
        decay_correction: As for :func:`read_region_curve`.
        injection_min: As there.

    Returns:
        The frames, the decay correction (``injection``, ``scan_start`` or ``none``), and a
        voxel's standard deviations in ``unit``, shape (m,), or None.

    Raises:
        BadInput: As for :func:`read_region_curve`.
    """
    table = read_table(path)
    frames = _frames_of(table, injection_min)
    correction = stated_decay_correction(table, decay_correction, option="--decay-correction")
    if not any(column.startswith("standard_deviation") for column in table.columns):
        return frames, correction, None
    column = _unit_column(table, "standard_deviation")
    spread = table.numbers(column)
    if not np.all(spread > 0):
        raise BadInput(
            f"{path.name}: standard_deviation must be above 0 in each frame, got "
            f"{spread.min():g}. Leave the column out to weight by the frames' durations."
        )
    given = ACTIVITY_UNITS[column.removeprefix("standard_deviation_")]
    return frames, correction, spread * unit_factor(given, unit)


def read_fit_input(
    path: Path, *, decay_correction: str | None = None, half_life_min: float = np.inf
) -> InputFunction:
    """Read an input CSV and correct it for decay to its time 0, the injection, if it is not.

    Args:
        path: CSV as of ``tac``, with a column ``decay_correction`` unless that is given.
        decay_correction: ``injection`` or ``none``; None if the column says it.
        half_life_min: Physical half-life, min; needed for ``none``.

    Raises:
        BadInput: The CSV is at fault, does not say its decay correction, or lacks a half-life.
    """
    word = stated_decay_correction(
        read_table(path),
        decay_correction,
        option="--input-decay-correction",
        allowed=INPUT_CORRECTIONS,
    )
    if word == "injection":
        return read_input_csv(path, decay_corrected=True)
    if not np.isfinite(half_life_min):
        raise BadInput(
            f"half_life_min must be given, in min, as {path.name} is not corrected for decay. "
            f"{HALF_LIVES}."
        )
    return read_input_csv(path, decay_corrected=False).corrected_for_decay(half_life_min)


def in_suv(input_function: InputFunction, weight_kg: float | None) -> InputFunction:
    """Return an input in %IA/L as SUV if a weight is given, else as it is.

    Raises:
        BadInput: A weight is given for an input in another unit, or is not above 0 kg.
    """
    if weight_kg is None:
        return input_function
    positive("weight_kg", weight_kg, unit="kg")
    return percent_ia_per_l_to_suv(input_function, weight_kg=weight_kg)


def _frames_of(table: Table, injection_min: float) -> Frames:
    start, end = table.minutes("frame_start"), table.minutes("frame_end")
    if not np.isfinite(injection_min):
        raise BadInput(
            f"injection_min must be finite, got {injection_min!r} min. Leave it out if the frames "
            "count from the injection."
        )
    early_min = max(0.0, -injection_min)
    for name, values in (("frame_start", start), ("frame_end", end)):
        if np.any(values < 0):
            raise BadInput(
                f"{table.name}: {name} must be at least 0, got {values.min():g} min. Count from "
                "the scan's start, and give --injection-min."
            )
    return Frames(start + early_min, end + early_min, max(0.0, injection_min))


def _unit_column(table: Table, name: str) -> str:
    found = [column for column in table.columns if column.startswith(name)]
    if len(found) != 1 or found[0].removeprefix(f"{name}_") not in ACTIVITY_UNITS:
        raise BadInput(
            f"{table.name} must have one column {name}_UNIT, UNIT one of "
            f"{', '.join(ACTIVITY_UNITS)}; got {', '.join(found or table.columns)}. Name it with "
            "its unit."
        )
    return found[0]
