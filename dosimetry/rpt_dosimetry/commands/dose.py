"""``dose``: activity images of one cycle become absorbed dose."""

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rpt_cohort import BadInput
from rpt_cohort.command import say, warn

from rpt_dosimetry.commands.option_names import options_named
from rpt_dosimetry.dose.activity_series import Therapy, told_scans
from rpt_dosimetry.dose.bed import Tissues, parse_by_region
from rpt_dosimetry.dose.calculation import (
    ONE_SCAN,
    ORGAN,
    OWN,
    VOXEL_CURVES,
    Choices,
    check_one_scan,
)
from rpt_dosimetry.dose.engines import ENGINES, find_engine
from rpt_dosimetry.dose.job import Files, write_dose
from rpt_dosimetry.dose.rows import Told
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.tia.region_fit import POPULATION_UPTAKE_HALF_LIFE_H
from rpt_dosimetry.tia.region_points import LONGEST_UPTAKE, NEEDED, check_model, check_uptake
from rpt_dosimetry.tia.times import check_times

MODELS = ("auto", *NEEDED, *ONE_SCAN)
LARGEST_FWHM_MM = 50.0
LARGEST_SD_PCT = 100.0


def dose(
    activity: Annotated[
        list[Path],
        typer.Option(
            metavar="A.nii.gz",
            help="Activity image, Bq/mL at its own time; one for each --time-h, in their order. "
            "The JSON beside it, as `activity` writes it, tells time and nuclide.",
        ),
    ],
    administered_mbq: Annotated[
        float, typer.Option(help="Administered activity at the start of infusion, MBq.")
    ],
    engine: Annotated[
        str,
        typer.Option(
            metavar="|".join(ENGINES),
            help="local: electrons stop in their voxel, photons are left out. vsv: convolution "
            "with the voxel kernel of soft tissue, electrons scaled by density.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write, new or empty.")],
    time_h: Annotated[
        list[float] | None,
        typer.Option(
            help="Start of infusion to mid-scan, h; one for each --activity, ascending.",
            show_default="injection_to_mid_scan_h of the JSONs",
        ),
    ] = None,
    ct: Annotated[
        Path | None,
        typer.Option(
            help="CT on the activity's grid, HU, for the mass density.",
            show_default="soft tissue, 1.04 g/mL",
        ),
    ] = None,
    organs: Annotated[
        Path | None,
        typer.Option(help="Organ numbers on the activity's grid.", show_default="none"),
    ] = None,
    lesions: Annotated[
        Path | None,
        typer.Option(help="Lesion numbers on the activity's grid.", show_default="none"),
    ] = None,
    residual_mbq: Annotated[
        float, typer.Option(help="What was not given, decayed to the same moment, MBq.")
    ] = 0.0,
    infusion_h: Annotated[float, typer.Option(help="Duration of the infusion, h.")] = 0.0,
    nuclide: Annotated[
        str | None,
        typer.Option(
            help="Name as in ICRP-107; its own radiation alone, without that of radioactive "
            "daughters.",
            show_default="nuclide of the JSONs, else Lu-177",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="|".join(MODELS),
            help="Curve of the regions; auto chooses. One time point needs haenscheid or madsen, "
            "which are for the voxels too, or physical, an upper bound.",
        ),
    ] = "auto",
    population_half_life_h: Annotated[
        float | None,
        typer.Option(help="Effective half-life for --model madsen, h.", show_default="none"),
    ] = None,
    uptake_half_life_h: Annotated[
        float | None,
        typer.Option(
            help="Uptake half-life of the model bi_population, h; above 0 and at most "
            f"{LONGEST_UPTAKE:g} of the physical half-life.",
            show_default=f"{POPULATION_UPTAKE_HALF_LIFE_H:g}, or that share of a physical one",
        ),
    ] = None,
    noise_floor_bq_per_ml: Annotated[
        float | None,
        typer.Option(
            help="What noise alone may make of a region's mean concentration, 1 SD, Bq/mL: late "
            "points within it are fitted through, and a rise within it is no rise.",
            show_default="with masks each image's median outside them, else none",
        ),
    ] = None,
    voxel_curve: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(VOXEL_CURVES),
            help="own: each voxel's points. organ: the curve of its lesion or organ, scaled to "
            "it; voxels of neither have the curve of the rest.",
            show_default="organ with --organs or --lesions, else own",
        ),
    ] = None,
    alpha_beta: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GY",
            help="α/β of a region for the BED, Gy; lesion names all. Repeat it.",
            show_default="kidneys 2.5, others 3",
        ),
    ] = None,
    repair_half_time_h: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=H",
            help="Half-time of repair of a region for the BED, h. Repeat it.",
            show_default="kidneys 2.8, others 1.5",
        ),
    ] = None,
    calibration_sd_pct: Annotated[
        float | None,
        typer.Option(
            help="Standard uncertainty of the scanner's calibration, %; state your own.",
            show_default="total_relative_sd_pct of the JSONs beside the images, else 5",
        ),
    ] = None,
    fwhm_mm: Annotated[
        float | None,
        typer.Option(
            help="Resolution of the activity images, mm: adds recovery coefficients and the "
            "volume's part of the uncertainty to the table. No map changes.",
            show_default="neither",
        ),
    ] = None,
    recovery_sd_pct: Annotated[
        float | None,
        typer.Option(
            help="With --fwhm-mm: standard uncertainty of the recovery coefficients, %; adds that "
            "of the recovered dose to the table.",
            show_default="not told",
        ),
    ] = None,
) -> None:
    """Compute the absorbed dose of one therapy cycle from its activity images.

    DIR receives dose.nii.gz (Gy/GBq of net administered activity), dose_gy.nii.gz (Gy),
    tia.nii.gz (time-integrated activity, MBq h/mL), organs.csv (image, organs and lesions: mean,
    SD, D2, D50, D98, half-life, BED, uncertainty) and summary.json, which defines every column.
    Images must be registered to each other and not be corrected for decay. Where a JSON stands
    beside one, it is held against what is typed, and without --time-h sets the images' order.
    """
    _refuse_out(out)
    Files(activity, ct=ct, organs=organs, lesions=lesions).check_there()
    scans = told_scans(
        activity,
        time_h=time_h or None,
        nuclide=nuclide,
        administered_mbq=administered_mbq,
        calibration_sd_pct=calibration_sd_pct,
    )
    parameters: dict[str, Any] = {
        "time_h": scans.time_h,
        "administered_mbq": administered_mbq,
        "residual_mbq": residual_mbq,
        "infusion_h": infusion_h,
        "nuclide": scans.nuclide,
        "engine": engine,
        "model": model,
        "population_half_life_h": population_half_life_h,
        "uptake_half_life_h": uptake_half_life_h,
        "noise_floor_bq_per_ml": noise_floor_bq_per_ml,
        "voxel_curve": voxel_curve or (OWN if organs is None and lesions is None else ORGAN),
        "alpha_beta_gy": parse_by_region(alpha_beta or [], option="--alpha-beta", unit="Gy"),
        "repair_half_time_h": parse_by_region(
            repair_half_time_h or [], option="--repair-half-time-h", unit="h"
        ),
        "calibration_sd_pct": scans.calibration_sd_pct,
        "fwhm_mm": fwhm_mm,
        "recovery_sd_pct": recovery_sd_pct,
    }
    with options_named(("time_h", "infusion_h", "uptake_half_life_h")):
        therapy = _therapy(parameters)
        if uptake_half_life_h is None:
            longest_h = LONGEST_UPTAKE * therapy.nuclide.half_life_h
            parameters["uptake_half_life_h"] = min(POPULATION_UPTAKE_HALF_LIFE_H, longest_h)
        choices = _choices(parameters, therapy)
    if engine == "vsv":
        say("Computing curves and dose; the kernel takes some seconds …")
    files = Files(scans.activities, ct=ct, organs=organs, lesions=lesions)
    result, warnings = write_dose(
        files, therapy, choices, parameters=parameters, warnings=scans.warnings, out=out
    )
    for sentence in warnings:
        warn(sentence)
    image = result.rows[0]
    say(
        f"{out.name}: {scans.nuclide}, {engine}, {len(result.rows)} regions, dose up to "
        f"{float(result.dose_gy.max()):.4g} Gy, {image.map_tia_mbq_h:.5g} MBq h in the image."
    )


def _refuse_out(out: Path) -> None:
    parent = out.resolve().parent
    if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
        raise BadInput(
            f"The folder of --out must be writable, and '{out.parent}' is not: '{out}' cannot be "
            "written."
        )


def _therapy(parameters: dict[str, Any]) -> Therapy:
    check_times(parameters["time_h"], infusion_h=parameters["infusion_h"])
    return Therapy(
        nuclide=find_nuclide(parameters["nuclide"]),
        administered_mbq=parameters["administered_mbq"],
        residual_mbq=parameters["residual_mbq"],
        infusion_h=parameters["infusion_h"],
        time_h=tuple(parameters["time_h"]),
    )


def _choices(parameters: dict[str, Any], therapy: Therapy) -> Choices:
    model, curve = parameters["model"], parameters["voxel_curve"]
    fwhm_mm, sd_pct = parameters["fwhm_mm"], parameters["calibration_sd_pct"]
    if curve not in VOXEL_CURVES:
        raise BadInput(f"--voxel-curve must be one of {', '.join(VOXEL_CURVES)}, got '{curve}'.")
    if model not in MODELS:
        raise BadInput(f"--model must be one of {', '.join(MODELS)}, got '{model}'.")
    if model not in ONE_SCAN:
        check_model(model, points=len(therapy.time_h), name="the regions")
    uptake_h = parameters["uptake_half_life_h"]
    check_uptake(uptake_h, half_life_h=therapy.nuclide.half_life_h, name="the regions")
    half_life_h = parameters["population_half_life_h"]
    check_one_scan(model, therapy, population_half_life_h=half_life_h)
    if fwhm_mm is not None and not 0 < fwhm_mm <= LARGEST_FWHM_MM:
        raise BadInput(
            f"--fwhm-mm must be above 0 and at most {LARGEST_FWHM_MM:g} mm, got {fwhm_mm:g} mm."
        )
    recovery_pct = parameters["recovery_sd_pct"]
    for option, pct in (("calibration", sd_pct), ("recovery", recovery_pct)):
        if pct is not None and not 0 <= pct <= LARGEST_SD_PCT:
            raise BadInput(f"--{option}-sd-pct must be from 0 to 100 %, got {pct:g} %.")
    if recovery_pct is not None and fwhm_mm is None:
        raise BadInput("--recovery-sd-pct needs --fwhm-mm, which makes the coefficients.")
    floor = parameters["noise_floor_bq_per_ml"]
    if floor is not None and not (floor >= 0 and math.isfinite(floor)):
        raise BadInput(f"--noise-floor-bq-per-ml must be 0 Bq/mL or above, got {floor:g} Bq/mL.")
    tissues = Tissues(parameters["alpha_beta_gy"], parameters["repair_half_time_h"])
    return Choices(
        engine=find_engine(parameters["engine"], therapy.nuclide),
        model=model,
        population_half_life_h=half_life_h,
        voxel_curve=curve,
        told=Told(
            tissues,
            calibration_relative_sd=None if sd_pct is None else sd_pct / 100.0,
            fwhm_mm=fwhm_mm,
            recovery_relative_sd=None if recovery_pct is None else recovery_pct / 100.0,
        ),
        uptake_half_life_h=uptake_h,
        noise_floor_bq_per_ml=floor,
    )
