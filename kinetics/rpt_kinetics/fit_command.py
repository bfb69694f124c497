"""The ``fit`` command: compartment models fitted to a region's curve, or to every voxel."""

from pathlib import Path
from typing import Annotated

import typer

from rpt_kinetics.command import as_typed
from rpt_kinetics.errors import BadInput
from rpt_kinetics.measured import ACTIVITY_UNITS

UNIT_NAMES = ", ".join(ACTIVITY_UNITS)
AS_TYPED = {
    "half_life_min": "--half-life-min",
    "injection_min": "--injection-min",
    "delay_min": "--delay-min",
    "weight_kg": "--weight-kg",
    # Elsewhere it is a parameter that was fitted.
    "vb must": "--vb must",
}


def fit(
    out: Annotated[Path, typer.Option(help="New folder for the results.")],
    input_: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="feng|kabasakal|siebinga|FILE.csv",
            help="Input function. A CSV has a column time_min, time_s or time_h from the "
            f"injection and a column plasma_UNIT or blood_UNIT or both, UNIT one of {UNIT_NAMES}.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="1tcm|2tcm_irreversible|2tcm|all",
            help="Model; all fits each and chooses by the AICc. Maps: 1tcm, 2tcm_irreversible.",
        ),
    ],
    curve: Annotated[
        Path | None,
        typer.Option(
            help="Region curve, CSV: frame_start_min, _s or _h, frame_end_min, activity_UNIT, "
            "standard_deviation_UNIT, and decay_correction unless the option says it."
        ),
    ] = None,
    dynamic: Annotated[
        Path | None, typer.Option(help="Dynamic image, 4-D NIfTI, instead of --curve.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Frames of --dynamic, CSV: frame_start_min, _s or _h, frame_end_min; "
            "standard_deviation_UNIT of a voxel, if there, weights the frames."
        ),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Voxels of --dynamic to fit, NIfTI, not 0 inside.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help=f"Unit of --dynamic: {UNIT_NAMES}.")] = None,
    vb: Annotated[
        float | None,
        typer.Option(help="Hold V_b at this share, 0 to below 1.", show_default="fitted"),
    ] = None,
    half_life_min: Annotated[
        float | None,
        typer.Option(help="Physical half-life, min (68Ga 67.71).", show_default="none"),
    ] = None,
    decay_correction: Annotated[
        str | None,
        typer.Option(
            metavar="injection|scan_start|none",
            help="To what --curve or --dynamic is corrected for decay (scan_start: the first "
            "frame's start); must be stated.",
            show_default="the CSV's column",
        ),
    ] = None,
    input_decay_correction: Annotated[
        str | None,
        typer.Option(
            metavar="injection|none",
            help="To what an input CSV is corrected; must be stated.",
            show_default="the CSV's column",
        ),
    ] = None,
    injection_min: Annotated[
        float, typer.Option(help="The injection on the frames' clock, min; negative if before 0.")
    ] = 0.0,
    delay_min: Annotated[
        float, typer.Option(help="Later arrival of the blood than where it was sampled, min.")
    ] = 0.0,
    weight_kg: Annotated[
        float | None,
        typer.Option(help="Body weight, kg: turns an input in %IA/L into SUV.", show_default="no"),
    ] = None,
) -> None:
    """Fit compartment models to a region's curve, or voxel by voxel to a dynamic image.

    K1 in mL/min/mL, k2, k3, k4 in 1/min, V_b and V_T in mL/mL, K_i in mL/min/mL. --curve writes
    fit.json, residuals.csv and fit.png; --dynamic writes k1, k2, vb and vt (or k3 and ki) and the
    misfit as .nii.gz, NaN where flag.nii.gz is not 1, and maps.json.
    """
    from rpt_kinetics.fit_maps import write_maps
    from rpt_kinetics.fit_options import FitOptions
    from rpt_kinetics.fit_region import write_fit

    options = FitOptions(
        input_name=input_,
        model=model,
        vb=vb,
        half_life_min=half_life_min,
        decay_correction=decay_correction,
        input_decay_correction=input_decay_correction,
        injection_min=injection_min,
        delay_min=delay_min,
        weight_kg=weight_kg,
    )
    if (curve is None) == (dynamic is None):
        raise BadInput("Either --curve or --dynamic must be given. Give one of the two.")
    if curve is not None:
        if frames is not None or mask is not None or unit is not None:
            raise BadInput("--frames, --mask and --unit go with --dynamic. Leave them out.")
        with as_typed(AS_TYPED):
            write_fit(curve, options, out=out)
        return
    if dynamic is None or frames is None or mask is None or unit is None:
        raise BadInput("--dynamic needs --frames, --mask and --unit. Give all four.")
    with as_typed(AS_TYPED):
        write_maps(dynamic, options, frames_path=frames, mask_path=mask, unit=unit, out=out)
