"""All metrics of one cycle for every method, as tidy rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from rpt_eval.metrics import METRICS, TABLE, Doses, GammaCriteria, Metric, ssim_map
from rpt_eval.predictions import CycleMaps
from rpt_eval.regions import BODY, ORGANS_MEAN, RATED_ORGANS, WHOLE_MAP, regions, too_small

Map = Float32[np.ndarray, "x y z"]
NAN = float("nan")


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
    windows = {name: ssim_map(dose, maps.dose, maps.known) for name, dose in doses.items()}
    for region, here in regions(maps).items():
        rated = too_small(here) is None
        for method, dose in doses.items():
            pair = Doses(dose, maps.dose, maps.known, here, maps.spacing_mm, windows[method], gamma)
            for metric in _taken_in(region, gamma):
                value = metric.function(pair) if rated else NAN
                rows.append(_row(maps, region, method, metric, value))
    rows.sort(key=lambda row: METRICS[row.metric].regions == "body")  # these stand last
    return rows + list(_over_organs(maps, rows))


def _over_organs(maps: CycleMaps, rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the mean over kidney, liver and spleen, NaN where one of them is not rated.

    Of what is lower or higher for the better only: errors of either sign would cancel.
    """
    of_organs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.region in RATED_ORGANS and METRICS[row.metric].better in ("lower", "higher"):
            of_organs.setdefault((row.method, row.metric), []).append(row.value)
    for (method, metric), values in of_organs.items():
        yield _row(maps, ORGANS_MEAN, method, METRICS[metric], float(np.mean(values)))


def _taken_in(region: str, gamma: GammaCriteria | None) -> list[Metric]:
    """Return the metrics that every case has of a region."""
    of = {WHOLE_MAP: ["all"], BODY: ["all", "body"] if gamma else ["all"]}
    return [one for one in TABLE if one.regions in of.get(region, ["all", "organs"])]


def _row(maps: CycleMaps, region: str, method: str, metric: Metric, value: float) -> Row:
    case = maps.case
    return Row(case.name, case.patient, region, method, metric.name, float(value), metric.unit)
