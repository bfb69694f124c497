"""Pictures of dose maps and plots of their agreement; plots take and return ``ax``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from rpt_cohort import BadInput, Case, PredictionInfo, Volume, read_cohort
from rpt_cohort.command import refuse_existing
from rpt_cohort.correlation import pearson_r, why_undefined
from rpt_cohort.figures import cut_plane, draw_plane, fullest_plane, heat_scatter, png_bytes
from rpt_cohort.files import write_together
from rpt_cohort.reading import read_json

from rpt_eval.dvh import MM3_PER_ML, Dvh
from rpt_eval.metrics import bland_altman, identity_lines
from rpt_eval.predictions import Against, CycleMaps, Method, read_dose, read_maps
from rpt_eval.regions import BODY, RATED_ORGANS, regions, too_small
from rpt_eval.statistics import patient_means

DOSE_LABEL = "Absorbed dose (Gy/GBq)"
DIFFERENCE_LABEL = "Difference (Gy/GBq)"


def draw_map(
    ax: Axes, volume: Volume, *, at: int, title: str, label: str, limits: tuple[float, float]
) -> Axes:
    """Draw a coronal plane of one map with its colour bar.

    Args:
        ax: Where to draw.
        volume: The map; NaN is left blank.
        at: Voxel index of the plane.
        title: Above the map.
        label: Of the colour bar, with unit.
        limits: Values at the ends of the colour bar; from below 0, the colours are those
            of a difference and centred at 0.
    """
    low, high = limits
    diverging = low < 0
    image = draw_plane(
        ax,
        volume,
        "coronal",
        at=at,
        cmap="PuOr_r" if diverging else "inferno",
        norm=TwoSlopeNorm(0.0, low, high) if diverging else None,
        vmin=None if diverging else low,
        vmax=None if diverging else high,
        interpolation="nearest",
    )
    ax.set_title(title)
    bar = ax.inset_axes((1.02, 0.0, 0.03, 1.0))
    ends = "both" if diverging else "max"
    ax.figure.colorbar(image, cax=bar, label=label, extend=ends, extendrect=True)
    return ax


def side_by_side(
    axes: Sequence[Axes],
    maps: CycleMaps,
    predictions: Mapping[str, Float32[np.ndarray, "x y z"]],
    *,
    reference_name: str,
) -> Sequence[Axes]:
    """Draw PET, reference, and each prediction with its difference, in one coronal plane.

    The plane is the one with the highest dose sum. All doses share one colour bar, up
    to the 99.8th percentile of the reference in the plane; where the reference is not
    known, reference and difference are blank.

    Args:
        axes: Two, and two for each prediction.
        maps: The cycle.
        predictions: Title → predicted dose, Gy/GBq, on its grid.
        reference_name: Title of the reference, such as "Reference dose (virtual)".
    """
    suv = Volume(maps.suv, maps.affine)
    dose = Volume(np.where(maps.known, maps.dose, np.nan).astype(np.float64), maps.affine)
    at = fullest_plane(dose, "coronal")
    shown_suv, shown_dose = (cut_plane(one, "coronal", at)[0] for one in (suv, dose))
    top_suv = float(np.percentile(shown_suv, 99.8)) or 1.0
    top_dose = float(np.nanpercentile(shown_dose, 99.8)) or 1.0
    panels = [
        (suv, "PET", "SUV (g/mL)", (0.0, top_suv)),
        (dose, reference_name, DOSE_LABEL, (0.0, top_dose)),
    ]
    half = top_dose / 2
    for title, prediction in predictions.items():
        predicted = Volume(prediction.astype(np.float64), maps.affine)
        difference = Volume(predicted.data - dose.data, maps.affine)
        panels.append((predicted, title, DOSE_LABEL, (0.0, top_dose)))
        panels.append((difference, f"{title} − reference", DIFFERENCE_LABEL, (-half, half)))
    for ax, (volume, title, label, limits) in zip(axes, panels, strict=True):
        draw_map(ax, volume, at=at, title=title, label=label, limits=limits)
    return axes


Values = Float[np.ndarray, " n"]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's palette, readable for the colour-blind; black is the reference's."""
FIT = "#D55E00"
STYLES = ("-", "--", "-.", ":")


def identity_plot(ax: Axes, prediction: Values, reference: Values, *, title: str) -> Axes:
    """Draw predicted against reference dose as a heat map, with identity (dotted) and fit.

    The line drawn is the orthogonal fit; both least-squares slopes stand in the title.

    Args:
        ax: Where to draw.
        prediction: Gy/GBq, the voxels of one region.
        reference: Gy/GBq, the same voxels.
        title: Above the plot.
    """
    top = 1.02 * float(max(prediction.max(), reference.max())) or 1.0
    cells = ax.hist2d(
        reference,
        prediction,
        bins=60,
        range=[[0.0, top], [0.0, top]],
        cmap="viridis",
        norm=LogNorm(),
        rasterized=True,
    )[-1]
    ax.figure.colorbar(cells, ax=ax, label="Voxels", shrink=0.7)
    ends = np.array([0.0, top])
    ax.plot(ends, ends, color="black", linestyle=":", linewidth=1)
    lines = identity_lines(prediction, reference)
    below = "constant: no slope"
    if np.isfinite(lines.orthogonal):
        ax.plot(ends, prediction.mean() + lines.orthogonal * (ends - reference.mean()), color=FIT)
        below = (
            f"r {lines.pearson_r:.2f}, orthogonal slope {lines.orthogonal:.2f}\n"
            f"slope of prediction on truth {lines.prediction_on_truth:.2f},\n"
            f"of truth on prediction {lines.truth_on_prediction:.2f}"
        )
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    ax.set_title(f"{title}\n{below}", fontsize="medium")
    ax.set_xlabel("Reference dose (Gy/GBq)")
    ax.set_ylabel("Predicted dose (Gy/GBq)")
    return ax


def dvh_plot(ax: Axes, reference: Dvh, predictions: Mapping[str, Dvh], *, title: str) -> Axes:
    """Draw cumulative dose-volume histograms of one region.

    Args:
        ax: Where to draw.
        reference: Of the reference dose, Gy/GBq; black.
        predictions: Method → of the predicted dose.
        title: Above the plot.
    """
    top = 1.02 * max(dvh.maximum for dvh in (reference, *predictions.values())) or 1.0
    levels = np.linspace(0.0, top, 400)
    ax.plot(levels, reference.volume_pct_at(levels), color="black", linewidth=2, label="reference")
    for number, (name, dvh) in enumerate(predictions.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        ax.plot(levels, dvh.volume_pct_at(levels), color=colour, linestyle=style, label=name)
    ax.set(xlim=(0, top), ylim=(0, 102), title=title, ylabel="Volume (%)")
    ax.set_xlabel(DOSE_LABEL)
    ax.legend(fontsize="small")
    return ax


def bland_altman_plot(ax: Axes, prediction: Values, reference: Values, *, title: str) -> Axes:
    """Draw the difference of mean doses against their average, one point for each patient.

    Args:
        ax: Where to draw.
        prediction: Mean predicted dose of each patient, Gy/GBq.
        reference: Mean reference dose of each patient, Gy/GBq.
        title: Above the plot.
    """
    ax.scatter((prediction + reference) / 2, prediction - reference, s=14, color=COLOURS[0])
    limits = bland_altman(prediction, reference)
    ax.axhline(0.0, color="black", linewidth=0.8, linestyle=":")
    ax.axhline(limits.bias, color=FIT)
    for limit in (limits.lower, limits.upper):
        ax.axhline(limit, color=FIT, linestyle="--")
    # Rounding of equal doses must not look like a spread.
    span = max(0.05 * float(reference.mean()), *np.abs(ax.get_ylim()))
    ax.set_ylim(-span, span)
    ax.set_title(
        f"{title}\nbias {limits.bias:+.2g}, ±1.96 SD {limits.upper - limits.bias:.2g} Gy/GBq",
        fontsize="medium",
    )
    ax.set_xlabel("Mean of both (Gy/GBq)")
    ax.set_ylabel("Predicted − reference (Gy/GBq)")
    return ax


MOST_CELLS = 60
"""Of the heat map, along each axis; fewer for fewer voxels than its square (ours)."""


def region_scatter(
    ax: Axes, suv: Float[np.ndarray, " n"], dose: Float[np.ndarray, " n"], *, title: str
) -> Axes:
    """Draw one region's dose against its PET: counts of voxels, and the least-squares line.

    Args:
        ax: Where to draw.
        suv: PET, g/mL, the region's voxels.
        dose: Absorbed dose, Gy/GBq, the same voxels.
        title: Above the plot; r and the number of voxels are added.

    Raises:
        ValueError: The two have no correlation.
    """
    reason = why_undefined(suv, dose)
    if reason:
        raise ValueError(f"PET and dose must have a correlation, got {reason}.")
    suv, dose = suv.astype(np.float64), dose.astype(np.float64)
    ax.set_xlabel("PET (SUV, g/mL)")
    ax.set_ylabel(DOSE_LABEL)
    heat_scatter(ax, suv, dose, most_cells=MOST_CELLS)
    slope = ((suv - suv.mean()) * (dose - dose.mean())).mean() / suv.var()
    ends = np.array([suv.min(), suv.max()])
    line = dose.mean() + slope * (ends - suv.mean())
    ax.plot(ends, line, color="#D55E00", label=f"least squares, {slope:.3g} Gy/GBq per g/mL")
    ax.legend(fontsize="small", loc="lower right" if slope > 0 else "upper right")
    ax.set_title(f"{title}, r = {pearson_r(suv, dose):.2f} ({len(suv)} voxels)")
    return ax


DOTS_PER_INCH = 100


def write_picture(cohort: Path, pred: Path, out: Path, *, name: str | None, overwrite: bool) -> str:
    """Draw one case; the first of the cohort by default.

    Args:
        cohort: Cohort folder.
        pred: Prediction folder.
        out: PNG to write.
        name: Case, such as ``P001/C1``.
        overwrite: Replace ``out`` where it is there.

    Returns:
        Whose picture it is, for people.

    Raises:
        BadInput: The case is not in both folders, a map is broken or on another grid, or ``out``
            cannot be written.
    """
    if out.suffix != ".png":
        raise BadInput(f"--out must end in .png, got '{out.name}'.")
    refuse_existing(out, overwrite=overwrite)
    content = read_cohort(cohort)
    case = choose_case(content.cases, name)
    info = read_json(pred / "prediction.json", PredictionInfo)
    if case.name not in info.fold:
        raise BadInput(f"prediction.json must name {case.name}, and does not. Predict it first.")
    maps = read_maps(content, case)
    dose = read_dose(Method("prediction", pred, info), maps, content)
    figure = draw_case(maps, {"Predicted dose": dose}, origin=content.info.origin)
    write_together({out: png_bytes(figure, dots_per_inch=DOTS_PER_INCH)})
    return f"{case.name} of '{content.info.name}'"


def choose_case(cases: Sequence[Case], name: str | None) -> Case:
    """Return the case of that name, by default the first.

    Raises:
        BadInput: There is none.
    """
    if not cases:
        raise BadInput("datalist.json must list at least one case, and lists none.")
    for case in cases:
        if name in (None, case.name):
            return case
    raise BadInput(f"--case must be one of the cases, such as {cases[0].name}, got {name!r}.")


def draw_case(
    maps: CycleMaps,
    predictions: Mapping[str, Float32[np.ndarray, "x y z"]],
    *,
    origin: str,
    against: Against = "measured",
) -> Figure:
    """Draw a cycle's PET, reference, predictions and differences side by side."""
    _, (height_mm, width_mm) = cut_plane(Volume(maps.dose, maps.affine), "coronal", at=0)
    columns = 2 if len(predictions) == 1 else 4
    rows = -(-(2 + 2 * len(predictions)) // columns)
    panel_inches = 5.5 * height_mm / width_mm
    figure = Figure(figsize=(7.0 * columns, rows * (panel_inches + 1.0)), layout="compressed")
    axes = list(figure.subplots(rows, columns).flat)
    panels = 2 + 2 * len(predictions)
    side_by_side(
        axes[:panels], maps, predictions, reference_name=f"Reference: {against} dose ({origin})"
    )
    for ax in axes[panels:]:
        ax.set_axis_off()
    figure.suptitle(f"{maps.case.name}, {origin} patient, coronal plane; research only")
    return figure


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
        volume_ml = int(here.sum()) * float(np.prod(maps.spacing_mm)) / MM3_PER_ML
        dvhs = {
            name: Dvh.of(dose[here], volume_ml=volume_ml)
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
