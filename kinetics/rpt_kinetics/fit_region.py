"""The fit of a region's curve as files: fit.json, residuals.csv and fit.png."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import chi2

from rpt_kinetics.basis import Scan
from rpt_kinetics.command import progress, say, warn
from rpt_kinetics.curves import RegionCurve, read_region_curve
from rpt_kinetics.errors import BadInput
from rpt_kinetics.fit_options import FitOptions
from rpt_kinetics.fit_plot import STYLES, curve_plot, residual_plot
from rpt_kinetics.fit_problem import MODELS
from rpt_kinetics.fitting import RESOLVED, Fit, fit_model
from rpt_kinetics.input_choice import described
from rpt_kinetics.macro import macro_parameter
from rpt_kinetics.png import png_bytes
from rpt_kinetics.rates import UNITS
from rpt_kinetics.writing import json_bytes, new_folder, table_bytes

# Ours: a chi-square less probable than this, on either side, is worth a warning.
RARE = 1e-3


def write_fit(curve_path: Path, options: FitOptions, *, out: Path) -> None:
    """Write ``fit.json``, ``residuals.csv`` and ``fit.png`` of a region curve.

    Args:
        curve_path: CSV, see :func:`curves.read_region_curve`.
        options: What to fit, and how the data are to be read.
        out: New or empty folder.

    Raises:
        BadInput: The input is at fault, or no model is identifiable.
    """
    allowed = (*MODELS, "all")
    if options.model not in allowed:
        raise BadInput(
            f"--model must be one of {', '.join(allowed)}, got '{options.model}'. "
            "Take all to have it chosen by the AICc."
        )
    input_function, files = options.input_function()
    curve = read_region_curve(
        curve_path,
        decay_correction=options.decay_correction,
        half_life_min=options.half_life,
        injection_min=options.injection_min,
    ).in_unit(input_function.unit)
    scan = Scan.of(
        curve.frames,
        input_function,
        half_life_min=options.half_life,
        delay_min=options.delay_min,
    )
    fits, refused = _fits(curve, scan, options)
    with new_folder(out) as folder:
        content = fit_content(curve, fits, refused) | {
            "input": described(input_function),
            "provenance": options.provenance([curve_path, *files], library="matplotlib"),
        }
        (folder / "fit.json").write_bytes(json_bytes(content))
        (folder / "residuals.csv").write_bytes(table_bytes(residual_table(curve, fits)))
        (folder / "fit.png").write_bytes(png_bytes(_figure(curve, fits), dots_per_inch=150))
    for model, reason in refused.items():
        warn(f"{model} was left out: {reason}")
    for sentence in warnings_of(fits[0]):
        warn(sentence)
    say(f"{out.name}: {fits[0].model}, AICc {fits[0].aicc:.6g}.")


def _fits(curve: RegionCurve, scan: Scan, options: FitOptions) -> tuple[list[Fit], dict[str, str]]:
    """Fit the models asked for; the best by AICc first, and why others cannot be fitted."""
    if options.model != "all":
        return [fit_model(curve, scan, model=options.model, vb=options.vb)], {}
    fits: list[Fit] = []
    refused: dict[str, str] = {}
    for model in progress(list(MODELS), "fitting"):
        try:
            fits.append(fit_model(curve, scan, model=model, vb=options.vb))
        except BadInput as error:
            refused[model] = str(error)
    if not fits:
        model, reason = next(iter(refused.items()))
        raise BadInput(f"No model can be fitted; of {model}, the smallest: {reason}")
    return sorted(fits, key=lambda one: (one.aicc, len(one.free))), refused


def fit_content(
    curve: RegionCurve, fits: Sequence[Fit], refused: Mapping[str, str]
) -> dict[str, Any]:
    """Return what ``fit.json`` says of the fits, the chosen one first.

    Args:
        curve: What was fitted.
        fits: By AICc, ascending.
        refused: Model → why it cannot be fitted.
    """
    weight = np.exp(-0.5 * np.array([fit.aicc - fits[0].aicc for fit in fits]))
    weight /= weight.sum()
    return {
        "chosen": fits[0].model,
        "unit": curve.unit,
        "frames": len(curve.frames),
        "aicc_table": [
            {
                "model": fit.model,
                "free_parameters": len(fit.free),
                "chi_square": fit.chi_square,
                "aicc": fit.aicc,
                "aicc_above_best": fit.aicc - fits[0].aicc,
                "akaike_weight": float(share),
            }
            for fit, share in zip(fits, weight, strict=True)
        ],
        "aicc_formula": "n ln(X/n) + 2p + 2p(p + 1)/(n - p - 1), p free parameters only; X is "
        f"chi_square, but at least that of residuals of {RESOLVED:g} of the largest activity, "
        "which are the arithmetic's (ours)",
        "models": {fit.model: _described_fit(fit) for fit in fits},
        "not_fitted": dict(refused),
    }


def _described_fit(fit: Fit) -> dict[str, Any]:
    errors, macro = fit.standard_errors, macro_parameter(fit)
    return {
        "estimates": {
            name: {
                "value": value,
                "standard_error": errors.get(name),
                "unit": UNITS[name],
                "free": name in fit.free,
                "at_bound": name in fit.at_bound,
            }
            for name, value in fit.estimates.items()
        },
        "derived": {
            macro.name: {
                "value": macro.value,
                "standard_error": macro.standard_error,
                "unit": macro.unit,
                "reason": macro.reason,
            }
        },
        "chi_square": fit.chi_square,
        "degrees_of_freedom": fit.degrees_of_freedom,
        "chi_square_probability": _probability(fit),
        "free_parameters": list(fit.free),
        "covariance": fit.covariance.tolist(),
        "correlation": fit.correlation.tolist(),
        "warnings": warnings_of(fit),
    }


def _probability(fit: Fit) -> float:
    # Of a chi-square at least as large, if model and standard deviations are right.
    return float(chi2.sf(fit.chi_square, fit.degrees_of_freedom))


def warnings_of(fit: Fit) -> list[str]:
    """Return sentences on what in a fit is not to be trusted."""
    found = [
        f"{name} ended at a bound of its range: its standard error and those of others overstate "
        "what may vary."
        for name in fit.at_bound
    ]
    found += [
        f"{name} is poorly determined: its standard error is above its value."
        for name, error in fit.standard_errors.items()
        if error > fit.estimates[name] and name not in fit.at_bound
    ]
    probability = _probability(fit)
    if probability < RARE:
        found.append(
            f"The residuals are larger than the standard deviations tell (chi-square "
            f"{fit.chi_square:.4g} of {fit.degrees_of_freedom} degrees of freedom): the model is "
            "wrong, or the standard deviations are too small, and so are the standard errors."
        )
    elif probability > 1.0 - RARE:
        found.append(
            f"The residuals are smaller than the standard deviations tell (chi-square "
            f"{fit.chi_square:.4g} of {fit.degrees_of_freedom} degrees of freedom): these are too "
            "large, and so are the standard errors."
        )
    return found


def residual_table(curve: RegionCurve, fits: Sequence[Fit]) -> dict[str, Any]:
    """Return the columns of ``residuals.csv``: each model's frames, one below the other.

    Activities are in the input's unit, corrected for decay to the injection; times on the
    scan's clock.
    """
    times, count = curve.frames, len(fits)
    return {
        "model": np.repeat([fit.model for fit in fits], len(times)),
        "frame_start_min": np.tile(times.start_min, count),
        "frame_end_min": np.tile(times.end_min, count),
        "activity": np.tile(curve.activity, count),
        "standard_deviation": np.tile(curve.standard_deviation, count),
        "fitted": np.concatenate([fit.fitted for fit in fits]),
        "residual": np.concatenate([curve.activity - fit.fitted for fit in fits]),
        "weighted_residual": np.concatenate([fit.weighted_residual for fit in fits]),
    }


def _figure(curve: RegionCurve, fits: Sequence[Fit]) -> Figure:
    figure = Figure(figsize=(7.0, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    curve_plot(above, curve, fits)
    chosen = "Chosen: " if len(fits) > 1 else ""
    above.set_title(f"{chosen}{STYLES[fits[0].model][0]}, AICc {fits[0].aicc:.1f}")
    residual_plot(below, curve, fits[0])
    return figure
