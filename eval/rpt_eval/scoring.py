"""All metrics of one cycle for every method, the gamma index with them, as tidy rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from rpt_cohort import BadInput

from rpt_eval import metrics
from rpt_eval.dvh import MM3_PER_ML, Dvh, dvh_r2
from rpt_eval.metrics import METRICS, identity_lines, ssim, ssim_map
from rpt_eval.predictions import CycleMaps
from rpt_eval.regions import BODY, ORGANS_MEAN, RATED_ORGANS, WHOLE_MAP, regions, too_small

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


Map = Float32[np.ndarray, "x y z"]
Region = Bool[np.ndarray, "x y z"]
NAN = float("nan")


@dataclass(frozen=True)
class GammaCriteria:
    """Dose difference, % of the reference's maximum, and distance, mm."""

    dose_percent: float
    distance_mm: float

    @classmethod
    def parse(cls, text: str) -> "GammaCriteria":
        """Read ``PERCENT/MM``, such as 10/10.

        Raises:
            BadInput: Not of that form.
        """
        try:
            dose_percent, distance_mm = (float(part) for part in text.split("/"))
        except ValueError as error:
            raise BadInput(f"--gamma must be PERCENT/MM, such as 10/10, got {text!r}.") from error
        return cls(dose_percent, distance_mm)


@dataclass(frozen=True)
class Row:
    """One number of ``metrics.csv``; NaN where it is not defined."""

    case: str
    patient: str
    region: str
    method: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Unrated:
    """A region of a case that has no metrics, and why."""

    case: str
    region: str
    reason: str


def unrated(maps: CycleMaps) -> list[Unrated]:
    """Return the regions that are absent or too small."""
    found = {name: too_small(region) for name, region in regions(maps).items()}
    return [Unrated(maps.case.name, name, why) for name, why in found.items() if why]


def score(
    maps: CycleMaps, doses: Mapping[str, Map], *, gamma: GammaCriteria | None = None
) -> list[Row]:
    """Compute every metric of every method in every region of one cycle.

    Args:
        maps: The cycle; its dose is the reference.
        doses: Method → predicted dose, Gy/GBq, on the cycle's grid.
        gamma: Also the gamma index over the body, which takes long.

    Returns:
        Rows by region, then method. A region that is absent or too small has rows whose
        value is NaN, never 0.
    """
    rows = []
    similar = {name: ssim_map(dose, maps.dose, maps.known) for name, dose in doses.items()}
    for region, here in regions(maps).items():
        rated = too_small(here) is None
        of_organ = rated and region not in (WHOLE_MAP, BODY)
        reference = region_dvh(maps, here, maps.dose) if of_organ else None
        for method, dose in doses.items():
            values = dict.fromkeys(_names(region), NAN)
            if rated:
                values |= _voxel_metrics(maps, here, dose)
                values["ssim"] = ssim(similar[method], here)
            if reference is not None:
                values |= _dvh_metrics(region_dvh(maps, here, dose), reference)
            rows += [_row(maps, region, method, name, values[name]) for name in _names(region)]
    if gamma is not None:
        body = regions(maps)[BODY]
        for method, dose in doses.items():
            rate = gamma_pass_rate(
                dose,
                maps.dose,
                spacing_mm=maps.spacing_mm,
                region=body,
                dose_percent=gamma.dose_percent,
                distance_mm=gamma.distance_mm,
            )
            rows.append(_row(maps, BODY, method, "gamma_pass_rate", rate))
    return rows + list(_over_organs(maps, rows))


def _voxel_metrics(maps: CycleMaps, here: Region, dose: Map) -> dict[str, float]:
    prediction, reference = (m[here].astype(np.float64) for m in (dose, maps.dose))
    lines = identity_lines(prediction, reference)
    return {
        "nrmse_range": metrics.nrmse_range(
            prediction, reference, map_range_gy_per_gbq=float(np.ptp(maps.dose[maps.known]))
        ),
        "nrmse_masked": metrics.nrmse_masked(prediction, reference, grid_voxels=dose.size),
        "nrmse_euclid": metrics.nrmse_euclid(prediction, reference),
        "mae": metrics.mae(prediction, reference),
        "mean_error": metrics.mean_error(prediction, reference),
        "mape_voxel": metrics.mape_voxel(prediction, reference),
        "slope_truth_on_prediction": lines.truth_on_prediction,
        "slope_prediction_on_truth": lines.prediction_on_truth,
        "slope_orthogonal": lines.orthogonal,
        "pearson_r": lines.pearson_r,
        "shape_error": metrics.shape_error(prediction, reference),
        "ape_organ_mean": metrics.ape_organ_mean(prediction, reference),
        "mean_dose": float(prediction.mean()),
        "mean_dose_reference": float(reference.mean()),
    }


def region_dvh(maps: CycleMaps, here: Region, dose: Map) -> Dvh:
    """Return the histogram of a region's voxels, Gy/GBq."""
    volume_ml = int(here.sum()) * float(np.prod(maps.spacing_mm)) / MM3_PER_ML
    return Dvh.of(dose[here], volume_ml=volume_ml)


def _dvh_metrics(prediction: Dvh, reference: Dvh) -> dict[str, float]:
    errors = {
        f"d{pct}_error": prediction.dose_at_pct(pct) - reference.dose_at_pct(pct)
        for pct in (2, 50, 98)
    }
    return {"dvh_r2": dvh_r2(reference, prediction), **errors}


def _over_organs(maps: CycleMaps, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the mean over kidney, liver and spleen, NaN where one of them is not rated.

    Of what is lower or higher for the better only: errors of either sign would cancel.
    """
    of_organs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.region in RATED_ORGANS and METRICS[row.metric].better in ("lower", "higher"):
            of_organs.setdefault((row.method, row.metric), []).append(row.value)
    for (method, metric), values in of_organs.items():
        yield _row(maps, ORGANS_MEAN, method, metric, float(np.mean(values)))


def _names(region: str) -> list[str]:
    """Return the metrics that every case has of a region."""
    kinds = ("all",) if region in (WHOLE_MAP, BODY) else ("all", "organs")
    return [name for name, metric in METRICS.items() if metric.regions in kinds]


def _row(maps: CycleMaps, region: str, method: str, metric: str, value: float) -> Row:
    case = maps.case
    unit = METRICS[metric].unit
    return Row(case.name, case.patient, region, method, metric, float(value), unit)
