"""Gamma index: how much of a dose map agrees within a dose and a distance."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from rpt_cohort import BadInput

STEPS_PER_DISTANCE = 10
"""The prediction is interpolated at every tenth of the distance (Wendling et al. 2007)."""
SEARCHED_GAMMA = 1.1
"""Beyond, a voxel has failed; by how much does not matter here."""
ROUNDING = 1e-6
"""A gamma index of 1 by definition must not fail for its last digit."""


def gamma_pass_rate(
    prediction: Float[np.ndarray, "x y z"],
    reference: Float[np.ndarray, "x y z"],
    *,
    spacing_mm: tuple[float, float, float],
    region: Bool[np.ndarray, "x y z"],
    dose_percent: float,
    distance_mm: float,
    local: bool = False,
    cutoff_percent: float = 10.0,
) -> float:
    """Return the share of the rated voxels with a gamma index of at most 1, %.

    Args:
        prediction: Dose map that is searched, interpolated trilinearly.
        reference: Dose map whose voxels are rated, in the same unit and on the same grid.
        spacing_mm: Of the grid, mm.
        region: Where voxels are rated; the search may leave it.
        dose_percent: Dose criterion, % of the reference's maximum in the region, or of each
            voxel's own reference dose where ``local``.
        distance_mm: Distance criterion, mm.
        local: Whether the dose criterion is of each voxel's own dose.
        cutoff_percent: Voxels below this share of the reference's maximum in the region are
            not rated, %. Ours: 10.

    Raises:
        BadInput: pymedphys is not installed, the distance is shorter than a voxel, a
            criterion cannot be, or the region holds no dose to rate.

    Source: Low et al., Med Phys 25 (1998) 656; Wendling et al., Med Phys 34 (2007) 1647; as
    pymedphys computes it.
    """
    _refuse_meaningless(spacing_mm, dose_percent, distance_mm, cutoff_percent)
    maximum = float(np.max(reference, initial=0.0, where=region))
    if not maximum > 0:
        raise BadInput("The region must hold a reference dose above 0 to rate, and holds none.")
    near = _around(region, distance_mm, spacing_mm)
    # What is not rated is put below the cut-off.
    rated = np.where(region, reference, -maximum)[near].astype(np.float64)
    axes = tuple(np.arange(n) * mm for n, mm in zip(rated.shape, spacing_mm, strict=True))
    gamma = _pymedphys_gamma()(
        axes,
        rated,
        axes,
        prediction[near].astype(np.float64),
        dose_percent,
        distance_mm,
        lower_percent_dose_cutoff=cutoff_percent,
        interp_fraction=STEPS_PER_DISTANCE,
        max_gamma=SEARCHED_GAMMA,
        local_gamma=local,
        global_normalisation=maximum,
        skip_once_passed=True,
    )
    # It leaves NaN where nothing was rated.
    return 100.0 * float(np.mean(gamma[~np.isnan(gamma)] <= 1 + ROUNDING))


def _refuse_meaningless(
    spacing_mm: tuple[float, float, float],
    dose_percent: float,
    distance_mm: float,
    cutoff_percent: float,
) -> None:
    if not 0 < dose_percent < np.inf:
        raise BadInput(f"The gamma index needs a dose criterion above 0 %, got {dose_percent!r} %.")
    if not 0 < cutoff_percent <= 100:
        raise BadInput(
            f"cutoff_percent must be above 0 and at most 100 %, got {cutoff_percent!r} %."
        )
    if not max(spacing_mm) <= distance_mm < np.inf:
        raise BadInput(
            f"The gamma distance must be at least the longest voxel edge, {max(spacing_mm):.6g} "
            f"mm: {distance_mm!r} mm means nothing there."
        )


def _around(
    region: Bool[np.ndarray, "x y z"], distance_mm: float, spacing_mm: tuple[float, float, float]
) -> tuple[slice, ...]:
    """Return the box of a region and of all that is searched from it."""
    reach = np.ceil(SEARCHED_GAMMA * distance_mm / np.array(spacing_mm)).astype(int) + 1
    return tuple(
        slice(max(int(found.min() - more), 0), int(found.max() + more) + 1)
        for found, more in zip(np.nonzero(region), reach, strict=True)
    )


def _pymedphys_gamma() -> Callable[..., np.ndarray]:
    try:
        from pymedphys import gamma
    except ImportError as error:
        raise BadInput(
            "The gamma index needs pymedphys, which is not installed: "
            "pip install 'rpt-eval[gamma]'."
        ) from error
    found: Callable[..., np.ndarray] = gamma
    return found
