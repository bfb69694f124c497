"""Cumulative dose-volume histograms, of voxels and of masks on another grid, and as files."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Integer
from rpt_cohort import (
    BadInput,
    Volume,
    file_sha256,
    json_bytes,
    provenance,
    read_volume,
    table_bytes,
    write_together,
)
from rpt_cohort.command import progress, refuse_existing, warn
from rpt_cohort.volumes import GRID_TOLERANCE_MM, turned_to_ras
from scipy.ndimage import map_coordinates

from rpt_eval.predictions import refuse_impossible
from rpt_eval.regions import SMALLEST_VOXELS

MM3_PER_ML = 1000.0
R2_DOSES = 200
"""Doses from 0 to the reference's maximum at which two histograms are compared."""
SAME_DOSE = 1e-6
"""Doses this near, relatively, are equal: maps are stored as float32. Ours."""


@dataclass(frozen=True)
class Dvh:
    """A cumulative histogram as the doses of equal parts of a structure.

    Attributes:
        doses: In the unit of the dose map, ascending; each stands for the same volume.
        volume_ml: Volume that they stand for, mL.
        outside_ml: Volume of the structure outside the dose map, which they leave out, mL.
    """

    doses: Float64[np.ndarray, " samples"]
    volume_ml: float
    outside_ml: float = 0.0

    def __post_init__(self) -> None:
        """Refuse samples that make no histogram.

        Raises:
            ValueError: No sample, one that is not finite, or a descent.
        """
        if not self.doses.size or not np.isfinite(self.doses[[0, -1]]).all():
            raise ValueError("doses must be finite and at least one.")
        if not (np.diff(self.doses) >= 0).all():
            raise ValueError("doses must ascend; make the histogram with Dvh.of.")

    @classmethod
    def of(
        cls,
        samples: Float[np.ndarray, " samples"],
        *,
        volume_ml: float,
        outside_ml: float = 0.0,
    ) -> "Dvh":
        """Make the histogram of samples in any order."""
        return cls(np.sort(samples.astype(np.float64)), volume_ml, outside_ml)

    @property
    def mean(self) -> float:
        """Dmean."""
        return float(self.doses.mean())

    @property
    def minimum(self) -> float:
        """Smallest dose in the structure."""
        return float(self.doses[0])

    @property
    def maximum(self) -> float:
        """Largest dose in the structure."""
        return float(self.doses[-1])

    def dose_at_pct(self, volume_pct: float) -> float:
        """Return Dx, the minimum dose of the hottest ``volume_pct`` % of the volume.

        Raises:
            ValueError: ``volume_pct`` is not above 0 % and at most 100 %.
        """
        if not 0 < volume_pct <= 100:
            raise ValueError(f"volume_pct must be above 0 and at most 100 %, got {volume_pct!r} %.")
        # Rounded: 0.07 · 100 samples must be 7, not the 8 above 7.000000000000001.
        hottest = math.ceil(round(volume_pct / 100 * self.doses.size, 6))
        return float(self.doses[-max(hottest, 1)])

    def dose_at_ml(self, volume_ml: float) -> float:
        """Return the minimum dose of the hottest ``volume_ml`` mL, such as D2cc.

        Raises:
            ValueError: ``volume_ml`` is not above 0 mL and at most the histogram's volume.
        """
        if not 0 < volume_ml <= self.volume_ml:
            raise ValueError(
                f"volume_ml must be above 0 and at most the structure's {self.volume_ml:.6g} mL, "
                f"got {volume_ml!r} mL."
            )
        return self.dose_at_pct(min(100.0, 100 * volume_ml / self.volume_ml))

    def volume_pct_at(self, levels: Float[np.ndarray, " levels"]) -> Float64[np.ndarray, " levels"]:
        """Return Vx: the volume at or above each dose, % of ``volume_ml``."""
        below = np.searchsorted(self.doses, np.asarray(levels, np.float64) * (1 - SAME_DOSE))
        return 100.0 * (self.doses.size - below) / self.doses.size


def dvh_r2(reference: Dvh, prediction: Dvh) -> float:
    """Return R² of a predicted histogram about the identity line.

    1 − SSE / SST between predicted and true V(D) at 200 doses from 0 to the reference's
    maximum, both included, all of equal weight; no line is fitted.

    Returns:
        At most 1; below 0 where the prediction is worse than the mean of the true V(D).
        NaN where the true V(D) does not vary (a uniform dose).
    """
    levels = np.linspace(0.0, reference.maximum, R2_DOSES)
    true_pct, predicted_pct = reference.volume_pct_at(levels), prediction.volume_pct_at(levels)
    total = float(((true_pct - true_pct.mean()) ** 2).sum())
    if total == 0:
        return math.nan
    return 1.0 - float(((true_pct - predicted_pct) ** 2).sum()) / total


def dvh_of_known(samples: Float64[np.ndarray, " samples"], *, volume_ml: float) -> Dvh:
    """Make the histogram of the samples that are in the dose map.

    Args:
        samples: Doses of equal volumes; NaN outside the dose map.
        volume_ml: Of all samples, mL.

    Raises:
        BadInput: All are outside.
    """
    known = ~np.isnan(samples)
    share = float(known.mean())
    if share == 0:
        raise BadInput(
            "The structure must overlap the dose map, and lies wholly outside its grid. "
            "Give both in the same world of positions, mm."
        )
    inside = samples if share == 1 else samples[known]
    return Dvh.of(inside, volume_ml=volume_ml * share, outside_ml=volume_ml * (1 - share))


FEWEST_PER_AXIS = 3
FEWEST_SAMPLES, MOST_SAMPLES = 100_000, 10_000_000
"""Bounds on the samples of one structure (ours): 0.001 % of its volume, 80 MB."""
CHUNK_SAMPLES = 1_000_000
"""Positions held at a time."""
SILENT_CHUNKS = 10
"""Up to here no progress is shown: some 4 s."""
SHIFTS = (np.outer(np.arange(31), (1, 12, 20)) % 31 + 0.5) / 31
"""Positions within a sub-cell: 31 points, evenly spaced along every axis (a lattice; ours)."""
SAME_VOXEL = 0.05
"""Of a voxel's edge: centres this near are of one voxel; headers round (ours)."""


def sub_points(
    supersampling: tuple[int, int, int], shifts: Integer[np.ndarray, " voxels"]
) -> Float64[np.ndarray, "voxels points 3"]:
    """Spread points over voxels: one in each sub-cell, each voxel by its own shift.

    The same points in every voxel would lie on few planes, and where the dose rises across
    these the histogram has as many steps: with 3³ sub-cell centres it is up to 1.4 % of the
    volume off in a sphere 10 voxels in radius, with ``dealt_shifts`` 0.35 %.

    Args:
        supersampling: Sub-cells along each axis.
        shifts: Number of each voxel's shift in ``SHIFTS``.

    Returns:
        Positions from the voxel's centre, in voxels, above −0.5 and below 0.5.
    """
    cells = np.indices(supersampling).reshape(3, -1).T
    points: Float64[np.ndarray, "voxels points 3"]
    points = (cells + SHIFTS[shifts][:, None]) / supersampling - 0.5
    return points


def dealt_shifts(voxels: int) -> Integer[np.ndarray, " voxels"]:
    """Deal the shifts out to voxels: each to one in 31 in a row, in an order drawn once."""
    rows = math.ceil(voxels / len(SHIFTS))
    order = np.tile(np.arange(len(SHIFTS), dtype=np.uint8), (rows, 1))
    drawn = np.random.default_rng(0).permuted(order, axis=1)
    dealt: Integer[np.ndarray, " voxels"] = drawn.ravel()[:voxels]
    return dealt


def choose_supersampling(
    voxels: int,
    *,
    spacing_mm: tuple[float, float, float],
    dose_spacing_mm: tuple[float, float, float],
) -> tuple[int, int, int]:
    """Choose the sub-cells of a mask's voxel along each axis (ours).

    At least 3, and no longer than half the dose's shortest voxel edge; then as many as make
    100,000 samples of the structure; then fewer, down to 1, where they would be more than
    10,000,000: a body of 30 litres has 7,500,000 at voxels of 2 mm.

    Args:
        voxels: Of the mask.
        spacing_mm: Of the mask.
        dose_spacing_mm: Of the dose map.
    """
    halves = 2.0 * np.array(spacing_mm) / min(dose_spacing_mm)
    cells = np.maximum(FEWEST_PER_AXIS, np.ceil(halves.round(6)))
    more = FEWEST_SAMPLES / (voxels * cells.prod())
    cells = np.ceil(cells * max(1.0, more ** (1 / 3)))
    while voxels * cells.prod() > MOST_SAMPLES and cells.max() > 1:
        cells[cells.argmax()] -= 1
    x, y, z = cells
    return int(x), int(y), int(z)


def on_dose_grid(dose: Volume, mask: Volume) -> bool:
    """Tell whether every voxel of a mask is one of the dose map's grid, which may end before.

    The order and direction in which either file stores its axes do not matter.
    """
    onto = np.linalg.inv(dose.affine) @ mask.affine
    whole = np.rint(onto)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.data.shape) - 1)
    off = corners @ (onto - whole)[:3, :3].T + (onto - whole)[:3, 3]
    # One 1 in each row and column: a voxel has the size of the other, and lies along it.
    turn = np.abs(whole[:3, :3])
    turns = bool((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all())
    return turns and float(np.abs(off).max()) <= SAME_VOXEL


def mask_dvh(dose: Volume, mask: Volume, *, supersampling: tuple[int, int, int] | None) -> Dvh:
    """Sample a dose map within the voxels of a mask on any grid.

    The mask is not resampled: its volume is that of its voxels. Where these are the dose map's
    own, each has its own dose: interpolation would draw in the dose beyond the structure's edge.
    On another grid the dose is interpolated trilinearly at points inside the mask's voxels.
    Between the dose map's outermost voxel centres and its outer voxel faces it is that of the
    nearest voxel; beyond, there is none.

    A mask smoothed below the voxel (trilinear, at least 0.5) was tried on spheres of 3 to 10
    voxels in radius: it shrinks their volume by 0.4 to 6 %, and the worst deviation of the
    histogram stays the same within 0.1 % of volume. So the mask's voxels stand as they are.

    Args:
        dose: Finite values.
        mask: Not 0 in the structure.
        supersampling: Sub-cells along each axis of the mask, from ``choose_supersampling``;
            ``None`` where ``on_dose_grid``.

    Raises:
        BadInput: The mask is empty or lies outside the dose map.
    """
    flat = np.flatnonzero(mask.data)
    if not flat.size:
        raise BadInput("The mask must mark at least one voxel, and is empty.")
    shifts, points = dealt_shifts(flat.size), math.prod(supersampling or (1,))
    samples = np.empty((flat.size, points))
    step = max(1, CHUNK_SAMPLES // points)
    starts = range(0, flat.size, step)
    for start in progress(starts, "dose in mask") if len(starts) > SILENT_CHUNKS else starts:
        here = slice(start, start + step)
        index = np.stack(np.unravel_index(flat[here], mask.data.shape), axis=-1)[:, None]
        if supersampling is not None:
            index = index + sub_points(supersampling, shifts[here])
        positions_mm = index.reshape(-1, 3) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        found = doses_at(dose, positions_mm, interpolate=supersampling is not None)
        samples[here] = found.reshape(-1, points)
    volume_ml = flat.size * abs(float(np.linalg.det(mask.affine[:3, :3]))) / MM3_PER_ML
    return dvh_of_known(samples.ravel(), volume_ml=volume_ml)


def doses_at(
    dose: Volume, positions_mm: Float64[np.ndarray, "points 3"], *, interpolate: bool = True
) -> Float64[np.ndarray, " points"]:
    """Interpolate a dose map trilinearly; NaN beyond its outer voxel faces.

    Args:
        dose: Finite values.
        positions_mm: In the RAS+ world of its affine, mm.
        interpolate: Without it, the dose of the voxel that a position lies in.
    """
    inverse = np.linalg.inv(dose.affine)
    index = positions_mm @ inverse[:3, :3].T + inverse[:3, 3]
    last = np.array(dose.data.shape) - 1.0
    margin = 0.5 + GRID_TOLERANCE_MM / np.array(dose.spacing_mm)
    outside = ((index < -margin) | (index > last + margin)).any(axis=1)
    data = dose.data.astype(np.result_type(dose.data.dtype, np.float32), copy=False)
    found: Float64[np.ndarray, " points"] = map_coordinates(
        data, np.clip(index, 0.0, last).T, order=int(interpolate), output=np.float64
    )
    found[outside] = np.nan
    return found


SMALL_HOT_ML = 2.0
"""D2cc: the dose of the hottest 2 mL, where there are as many."""
STEPS = 2000
"""Of the table, from dose 0 to the maximum."""
DX_PCT = (2, 5, 10, 50, 90, 95, 98)
VX_LEVELS = {
    "gy": (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 23.0, 28.0),
    "gy_per_gbq": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
}
"""Ours; 23 and 28 Gy are the limits for kidneys in external-beam therapy."""
LARGEST = {
    "gy": (5000.0, "Gy", "mGy"),
    "gy_per_gbq": (100.0, "Gy/GBq", "Gy or mGy/GBq"),
}
"""Ours: 100 Gy/GBq as in a cohort's check, and that times 50 GBq, the largest activity."""
SHOWN_LABELS = 20
UNIT_OF_NAME = {"dose.nii.gz": "gy_per_gbq", "dose_gy.nii.gz": "gy"}
"""By the contract."""
UNIT_OF_WORD = {"gy": "gy", "gy/gbq": "gy_per_gbq", "mgy/mbq": "gy_per_gbq"}
"""As a JSON beside a dose tells it, in small letters."""
DOSE, PER_ACTIVITY = "absorbed dose", "absorbed dose per administered activity"


def write_dvh(
    dose: Path,
    mask: Path,
    out: Path,
    *,
    label: int | None,
    unit: str | None,
    overwrite: bool = False,
) -> None:
    """Write the cumulative histogram of a mask as CSV, and its metrics as JSON beside it.

    The table goes from dose 0 to the maximum in the mask in 2,000 even steps. In the JSON
    ``d2`` to ``d98`` are the minimum doses of the hottest 2 to 98 % of the volume,
    ``v…_pct`` the volume at or above a dose; ``volume_ml`` is the mask's own. Where part of
    it, ``volume_outside_dose_ml``, is outside the dose map, everything else is of the rest.
    ``supersampling`` is the number of points along each axis of a mask's voxel at which the dose
    is interpolated; null where the mask's voxels are the dose map's, whose own doses count.

    Args:
        dose: NIfTI file of the dose map. What the JSON of the same name beside it tells of its
            unit, else its own name by the contract, must not be another than ``unit``.
        mask: NIfTI file on any grid, whole numbers.
        out: ``.csv`` file to write.
        label: The mask's voxels of this number; all above 0 by default.
        unit: ``gy`` or ``gy_per_gbq``; by default what is told, else ``gy_per_gbq``.
        overwrite: Replace ``out`` and the JSON beside it where they are there.

    Raises:
        BadInput: A file is missing or broken, the dose cannot be or not in this unit, the
            mask has no such label, fewer than 20 voxels or none in the dose map, or ``out``
            cannot be written.
    """
    _refuse_out(out)
    refuse_existing(out, out.with_suffix(".json"), overwrite=overwrite)
    unit = _unit(dose, unit)
    dose_map = _read_dose(dose, unit)
    structure = turned_to_ras(_read_mask(mask, label))  # the points follow the axes
    voxels = int(np.count_nonzero(structure.data))
    supersampling = None
    if not on_dose_grid(dose_map, structure):
        supersampling = choose_supersampling(
            voxels, spacing_mm=structure.spacing_mm, dose_spacing_mm=dose_map.spacing_mm
        )
    histogram = mask_dvh(dose_map, structure, supersampling=supersampling)
    if histogram.outside_ml > 0:
        warn(
            f"{histogram.outside_ml:.6g} mL of the mask lie outside the dose map; "
            f"the histogram is of the other {histogram.volume_ml:.6g} mL."
        )
    told = {
        "unit": unit,
        "label": label,
        "voxels": voxels,
        "volume_ml": histogram.volume_ml + histogram.outside_ml,
        "volume_outside_dose_ml": histogram.outside_ml,
        **metrics(histogram, unit),
        "supersampling": None if supersampling is None else list(supersampling),
        "samples": histogram.doses.size,
        "provenance": provenance(
            package="rpt-eval",
            command="dvh",
            parameters={"label": label, "unit": unit, "steps": STEPS},
            inputs={"dose": file_sha256(dose), "mask": file_sha256(mask)},
            libraries=("nibabel", "numpy", "scipy"),
        ),
    }
    table = histogram_csv(histogram, unit)
    write_together({out: table, out.with_suffix(".json"): json_bytes(told)})


def metrics(histogram: Dvh, unit: str) -> dict[str, Any]:
    """Return Dmean, Dmin, Dmax, Dx, D2ml in ``unit``, and Vx in %, by names with units."""
    levels = np.array(VX_LEVELS[unit])
    volumes_pct = histogram.volume_pct_at(levels)
    found = {
        f"d_mean_{unit}": histogram.mean,
        f"d_min_{unit}": histogram.minimum,
        f"d_max_{unit}": histogram.maximum,
    }
    found |= {f"d{pct}_{unit}": histogram.dose_at_pct(pct) for pct in DX_PCT}
    if histogram.volume_ml >= SMALL_HOT_ML:
        found[f"d_{SMALL_HOT_ML:g}ml_{unit}"] = histogram.dose_at_ml(SMALL_HOT_ML)
    named = zip(levels, volumes_pct, strict=True)
    return found | {f"v{level:g}_{unit}_pct": float(volume_pct) for level, volume_pct in named}


def histogram_csv(histogram: Dvh, unit: str) -> bytes:
    """Return the table of dose and volume, every digit that counts; one row for no dose."""
    steps = STEPS if histogram.maximum > 0 else 0
    levels = np.linspace(0.0, histogram.maximum, steps + 1)
    return table_bytes({f"dose_{unit}": levels, "volume_pct": histogram.volume_pct_at(levels)})


def _refuse_out(out: Path) -> None:
    if out.suffix != ".csv":
        raise BadInput(f"--out must end in .csv, got '{out.name}'.")
    if not out.parent.is_dir():
        raise BadInput("The folder of --out must exist, and it does not. Create it first.")


def _unit(path: Path, unit: str | None) -> str:
    """Return the unit of a dose map: what is told of it, which ``unit`` must not contradict."""
    if not path.is_file():  # which the reading refuses
        return unit or "gy_per_gbq"
    told, teller, mend = _told_unit(path), "the JSON beside it", "correct that JSON"
    if told is None:
        told, teller, mend = UNIT_OF_NAME.get(path.name.lower()), "its name", "rename it"
    if None not in (told, unit) and told != unit:
        raise BadInput(
            f"The dose map (--dose) must be in the unit that --unit names, got {unit}, and "
            f"{teller} tells {told}. Give --unit {told}, or {mend} if it is wrong."
        )
    return unit or told or "gy_per_gbq"


def _told_unit(path: Path) -> str | None:
    """Return the unit that the JSON beside a dose map tells; ``None`` where nothing does."""
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
    beside = path.with_name(path.name.removesuffix(suffix) + ".json")
    if not beside.is_file():
        return None
    try:
        content = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            "The JSON beside the dose must be readable, to tell its unit, and it is not. Mend or "
            "remove it."
        ) from error
    units = [UNIT_OF_WORD.get(word) for word in _unit_words(content)]
    if None in units or len(set(units)) > 1:
        raise BadInput(
            "The dose map (--dose) must be an absorbed dose in Gy or Gy/GBq, and the JSON beside "
            "it tells of another quantity or unit, or of two. Give such a map, or correct the JSON."
        )
    return units[0] if units else None


def _unit_words(content: object) -> list[str]:
    """Return each unit that a JSON tells, such as ``gy/gbq``; a quantity that is no dose whole."""
    told: Mapping[str, object] = content if isinstance(content, dict) else {}
    words = [text for key, text in told.items() if key.lower() in ("unit", "units")]
    quantity = told.get("quantity")
    if isinstance(quantity, str) and quantity.lower().startswith(PER_ACTIVITY):
        words.append("Gy/GBq")
    elif isinstance(quantity, str) and quantity.lower() != DOSE:
        words.append(quantity.lower().removeprefix(f"{DOSE}, "))
    plain = (word.lower().replace("_", " ") for word in words if isinstance(word, str))
    return [word.replace(" per ", "/").replace(" ", "") for word in plain]


def _read_dose(path: Path, unit: str) -> Volume:
    volume = read_volume(path, name="The dose map (--dose)")
    refuse_impossible(volume, name="The dose map (--dose)")
    largest, written, other = LARGEST[unit]
    if volume.data.max() > largest:
        raise BadInput(
            f"The dose map (--dose) must be in {written}, got up to {volume.data.max():.6g}, "
            f"which looks like {other}. Convert it, or name its unit by --unit."
        )
    return volume


def _read_mask(path: Path, label: int | None) -> Volume:
    if label is not None and label < 1:
        raise BadInput(f"--label must be above 0, which is background, got {label}.")
    volume = read_volume(path, name="The mask (--mask)")
    numbers = volume.data
    with np.errstate(invalid="ignore"):
        if not np.isfinite(numbers).all() or (numbers < 0).any() or (numbers % 1 != 0).any():
            raise BadInput(
                "The mask (--mask) must hold whole numbers, 0 and above, and holds others. "
                "Give a mask of labels, not of probabilities."
            )
    structure = numbers > 0 if label is None else numbers == label
    voxels = int(np.count_nonzero(structure))
    if voxels == 0:
        raise BadInput(_absent(numbers, label))
    if voxels < SMALLEST_VOXELS:
        raise BadInput(
            f"The structure must have {SMALLEST_VOXELS} voxels or more for a histogram, "
            f"got {voxels}. Draw it on a finer grid."
        )
    return Volume(structure, volume.affine)


def _absent(numbers: np.ndarray, label: int | None) -> str:
    there = [f"{number:g}" for number in np.unique(numbers) if number]
    if not there:
        return "The mask (--mask) must mark a structure by numbers above 0, and is 0 everywhere."
    more = ", …" if len(there) > SHOWN_LABELS else ""
    return (
        f"--label must be a number of the mask, which holds {', '.join(there[:SHOWN_LABELS])}"
        f"{more}: got {label}."
    )
