"""The activity images of one cycle: read, held on one grid, and checked for their unit."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from rpt_cohort import BadInput, Volume, grid_fault, read_volume
from rpt_cohort.command import naming

from rpt_dosimetry.dicom.decay_correction import IMPOSSIBLE_EXCESS, warn_of_too_little
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.nifti import ACTIVITY, check_beside

BQ_PER_MBQ = 1e6
MM3_PER_ML = 1000.0
LEAST_MM, MOST_MM = 0.1, 50.0
"""Bounds of a voxel's size, ours; as for the series that ``suv`` reads."""
SKEW = 1e-3
"""Largest cosine between two axes; beyond, voxels are no boxes."""
IMPOSSIBLE_SHARE = 1e-5
"""Ours: less of the decayed net activity is no patient, and 1e-6 of the unit is MBq/mL."""
ROUNDING = 1e-5
"""Ours: relative, of sums over voxels of 32 bits and of what is fitted to them; all that was given
may be in the image."""
RISEN = 1.05
"""Ours: of the share before. Excretion lowers the share of the decayed net activity; early
uptake into the field of view, or noise, may raise it some percent."""


@dataclass(frozen=True)
class ActivitySeries:
    """Activity concentrations at the times of the scans.

    Attributes:
        bq_per_ml: Shape (t, x, y, z), Bq/mL at each image's own time.
        grid: The first image, for its affine.
    """

    bq_per_ml: Float32[np.ndarray, "t x y z"]
    grid: Volume

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis, mm."""
        return self.grid.spacing_mm

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return float(np.prod(self.spacing_mm)) / MM3_PER_ML

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        x, y, z = self.bq_per_ml.shape[1:]
        return x, y, z

    def total_mbq(self) -> Float64[np.ndarray, " t"]:
        """Return the activity in each whole image, MBq."""
        per_image = [image.sum(dtype=np.float64) for image in self.bq_per_ml]
        return np.array(per_image) * self.voxel_ml / BQ_PER_MBQ


def read_activities(paths: Sequence[Path]) -> ActivitySeries:
    """Read activity images, Bq/mL.

    Args:
        paths: One NIfTI file a time point, in the order of the times.

    Raises:
        BadInput: A file is broken, on another grid or not the one that the JSON beside it tells
            of, its voxels are no boxes of a possible size, or a value is negative or not finite.
    """
    with naming(paths[0]):
        grid = read_volume(paths[0], name=_name(0))
        _check_geometry(grid)
    stack = np.empty((len(paths), *grid.data.shape), dtype=np.float32)
    for number, path in enumerate(paths):
        with naming(path):
            volume = grid if number == 0 else read_volume(path, name=_name(number))
            check_beside(path, volume, name=_name(number), quantity=ACTIVITY)
            fault = grid_fault(volume, grid, name=_name(number), like_name=_name(0))
            if fault is not None:
                raise BadInput(fault)
            with np.errstate(over="ignore", invalid="ignore"):
                stack[number] = volume.data
            _check_values(stack[number], name=_name(number))
    return ActivitySeries(stack, grid)


def check_totals(
    total_mbq: Float64[np.ndarray, " t"], therapy: Therapy, *, paths: Sequence[Path] = ()
) -> list[str]:
    """Refuse totals that show a wrong unit; warn of those that make one doubt.

    Args:
        total_mbq: Activity in each whole image, MBq.
        therapy: What was given.
        paths: Of the images, as typed, for a refusal; none where nobody typed them.

    Returns:
        Warnings, each a sentence.

    Raises:
        BadInput: A total is above the net administered activity, far above what decay leaves
            of it, next to none of it, or 0.
    """
    warnings, shares = [], []
    for number, (total, time_h) in enumerate(zip(total_mbq.tolist(), therapy.time_h, strict=True)):
        most = therapy.decayed_mbq(time_h)
        shares.append(total / most)
        with naming(paths[number]) if paths else nullcontext():
            _refuse_total(total, therapy, number=number, time_h=time_h)
        if shares[-1] > 1 + ROUNDING:
            warnings.append(
                f"{_name(number)} holds {total:.6g} MBq, more than the {most:.6g} MBq that decay "
                f"leaves of the net activity at {time_h:g} h: check the calibration, the "
                "residual, and that the image is not corrected for decay."
            )
    for number, (before, share) in enumerate(pairwise(shares), start=1):
        if share > RISEN * before:
            warnings.append(
                f"{_name(number)} holds {share:.3g} of the activity that decay leaves, the one "
                f"before {before:.3g}: images may be corrected for decay, or the calibration or "
                "the field of view changed."
            )
    fullest = int(np.argmax(shares))
    most_mbq = therapy.decayed_mbq(therapy.time_h[fullest])
    told = (
        f"{_name(fullest)}, which holds most, holds {total_mbq[fullest]:.4g} MBq of the "
        f"{most_mbq:.6g} MBq that decay leaves"
    )
    warn_of_too_little(shares[fullest], told, warnings)
    return warnings


def _refuse_total(total_mbq: float, therapy: Therapy, *, number: int, time_h: float) -> None:
    most = therapy.decayed_mbq(time_h)
    if total_mbq == 0:
        raise BadInput(
            f"{_name(number)} must hold activity, and is 0 everywhere. Check how it was written."
        )
    if total_mbq > therapy.net_mbq * (1 + ROUNDING):
        raise BadInput(
            f"{_name(number)} must hold no more than the net administered "
            f"{therapy.net_mbq:.6g} MBq, got {total_mbq:.6g} MBq. Activities must be in Bq/mL, "
            "--administered-mbq in MBq and not in GBq."
        )
    if total_mbq > IMPOSSIBLE_EXCESS * most:
        raise BadInput(
            f"{_name(number)} must hold no more than the {most:.6g} MBq that decay leaves of the "
            f"net activity at {time_h:g} h, got {total_mbq:.6g} MBq. Check --time-h, in h, the "
            "calibration, and that the image is not corrected for decay."
        )
    if total_mbq < IMPOSSIBLE_SHARE * most:
        raise BadInput(
            f"{_name(number)} must hold a part of the {most:.6g} MBq that decay leaves at "
            f"{time_h:g} h, got {total_mbq:.3g} MBq. Activities must be in Bq/mL, not in kBq/mL "
            "or MBq/mL."
        )


def _name(number: int) -> str:
    return f"Activity {number + 1} (--activity)"


def _check_geometry(grid: Volume) -> None:
    if not all(LEAST_MM <= size_mm <= MOST_MM for size_mm in grid.spacing_mm):
        sizes = " × ".join(f"{size_mm:.4g}" for size_mm in grid.spacing_mm)
        raise BadInput(
            f"Voxels of the activity must be {LEAST_MM:g} to {MOST_MM:g} mm along each axis, "
            f"got {sizes} mm. The affine must be in mm."
        )
    axes = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    if np.abs(axes.T @ axes - np.eye(3)).max() > SKEW:
        raise BadInput(
            "The axes of the activity must be at right angles, and they are not. "
            "Resample it to such a grid."
        )


def _check_values(values: Float32[np.ndarray, "x y z"], *, name: str) -> None:
    if not np.isfinite(values).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew.")
    negative = int(np.count_nonzero(values < 0))
    if negative:
        raise BadInput(
            f"{name} must be 0 Bq/mL or above, and {negative} voxels are below, down to "
            f"{values.min():.6g}. Set them to 0 if you know that the reconstruction made them."
        )
