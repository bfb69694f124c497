"""The plain figures of a comparison: one exemplary case, and organ means of the cohort."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rpt_cohort.correlation import why_undefined

from rpt_eval.cycles import Against, CycleMaps
from rpt_eval.picture import draw_case
from rpt_eval.plots import bland_altman_plot, dvh_plot, identity_plot
from rpt_eval.regions import BODY, RATED_ORGANS, regions, too_small
from rpt_eval.scatter import region_scatter
from rpt_eval.scoring import region_dvh
from rpt_eval.statistics import patient_means

Doses = Mapping[str, Float32[np.ndarray, "x y z"]]


def exemplary_case(cycles: pd.DataFrame, method: str) -> str:
    """Return the case whose error (``nrmse_euclid`` of the body) is the median of a method."""
    chosen = cycles[
        (cycles["method"] == method)
        & (cycles["region"] == BODY)
        & (cycles["metric"] == "nrmse_euclid")
    ].sort_values(["value", "case"])
    return str(chosen["case"].iloc[(len(chosen) - 1) // 2])


def draw_all(
    maps: CycleMaps, doses: Doses, cycles: pd.DataFrame, *, origin: str, against: Against
) -> dict[str, Figure]:
    """Draw every figure of a comparison.

    Args:
        maps: The exemplary case; its dose is the reference.
        doses: Method → its predicted dose, Gy/GBq.
        cycles: What ``summary.by_cycle`` returns, of the whole cohort.
        origin: "virtual" or "clinical", told in every title.
        against: What the reference is, told likewise.

    Returns:
        File name → figure.
    """
    whose = f"{maps.case.name}, {origin} patient; reference: {against} dose; research only"
    return {
        "side_by_side.png": draw_case(maps, doses, origin=origin, against=against),
        "identity.png": _identity(maps, doses, title=whose),
        "dvh.png": _dvh(maps, doses, title=whose),
        "scatter.png": _scatter(maps, title=whose),
        "bland_altman.png": _bland_altman(
            cycles, list(doses), title=f"{origin} patients; {against} dose"
        ),
    }


def _rated(maps: CycleMaps) -> dict[str, np.ndarray]:
    found = regions(maps)
    return {name: found[name] for name in RATED_ORGANS if not too_small(found[name])}


def _identity(maps: CycleMaps, doses: Doses, *, title: str) -> Figure:
    organs = _rated(maps)
    figure, axes = _panels(len(organs), len(doses), title=title)
    panels = [(organ, method) for organ in organs for method in doses]
    for ax, (organ, method) in zip(axes, panels, strict=True):
        prediction, reference = (m[organs[organ]] for m in (doses[method], maps.dose))
        identity_plot(ax, prediction, reference, title=f"{organ}: {method}")
    return figure


def _scatter(maps: CycleMaps, *, title: str) -> Figure:
    organs = _rated(maps)
    figure, axes = _panels(1, len(organs), title=title, size=5.0)
    for ax, (organ, here) in zip(axes, organs.items(), strict=True):
        if why_undefined(maps.suv[here], maps.dose[here]) is None:
            region_scatter(ax, maps.suv[here], maps.dose[here], title=organ)
        else:
            ax.set_axis_off()
    return figure


def _dvh(maps: CycleMaps, doses: Doses, *, title: str) -> Figure:
    organs = _rated(maps)
    figure, axes = _panels(1, len(organs), title=title, size=5.0)
    for ax, (organ, here) in zip(axes, organs.items(), strict=True):
        dvhs = {
            name: region_dvh(maps, here, dose)
            for name, dose in {"reference": maps.dose, **doses}.items()
        }
        dvh_plot(ax, dvhs.pop("reference"), dvhs, title=organ)
    return figure


def _bland_altman(cycles: pd.DataFrame, methods: Sequence[str], *, title: str) -> Figure:
    wide = cycles.pivot(
        index=["case", "patient", "region", "method"], columns="metric", values="value"
    ).reset_index()
    means = ["mean_dose", "mean_dose_reference"]
    wide = wide.dropna(subset=means) if set(means) <= set(wide) else wide.iloc[:0]
    organs = [organ for organ in RATED_ORGANS if (wide["region"] == organ).any()]
    figure, axes = _panels(len(organs), len(methods), title=f"Mean doses, {title}")
    panels = [(organ, method) for organ in organs for method in methods]
    for ax, (organ, method) in zip(axes, panels, strict=True):
        group = wide[(wide["region"] == organ) & (wide["method"] == method)]
        prediction, reference = (
            patient_means(group[name].to_numpy(), group["patient"].tolist()) for name in means
        )
        bland_altman_plot(ax, prediction, reference, title=f"{organ}: {method}")
    return figure


def _panels(rows: int, columns: int, *, title: str, size: float = 3.6) -> tuple[Figure, list[Axes]]:
    figure = Figure(
        figsize=(size * max(columns, 1), size * max(rows, 1) + 0.6), layout="constrained"
    )
    figure.suptitle(title if rows * columns else f"{title}: no organ can be rated")
    return figure, list(
        figure.subplots(rows, columns, squeeze=False).flat
    ) if rows * columns else []
