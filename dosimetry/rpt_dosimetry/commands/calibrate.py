"""``calibrate``: SPECT counts become a calibration factor, or activity by one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rpt_cohort import BadInput, file_sha256, json_bytes, read_volume, write_together
from rpt_cohort.command import Overwrite, naming, refuse_existing, say

from rpt_dosimetry.calibration.counts import METHODS, MODELS, PARALYZABLE, TRIPLE, DeadTime
from rpt_dosimetry.calibration.factor import (
    CalibrationFactor,
    Spect,
    Told,
    activity_files,
    dead_time_correction,
    factor_content,
    read_factor,
    read_spect,
)
from rpt_dosimetry.calibration.image_based import (
    Administered,
    Excretion,
    calibrate_by_images,
    images_story,
)
from rpt_dosimetry.calibration.planar import Alignment, Choices, Sweep
from rpt_dosimetry.commands.shared import SUFFIX, options_named, out_and_json, warn_of_each
from rpt_dosimetry.dicom.nm import WHOLE_BODY, read_nm
from rpt_dosimetry.dicom.planar import read_planar
from rpt_dosimetry.dicom.spect import DECAY_REFERENCES

_LUTETIUM_KEV = 208.37
_ARGUMENTS = (
    *("administered_mbq", "residual_mbq", "biological_h", "effective_h", "excreted_at_most"),
    "outside_views_at_most",
    *("excreted", "planar_time_h", "nuclide", "duration_s", "time_h", "tau_us", "tau_sd_pct"),
    *("spect_cps", "decay_reference"),
)
"""Of what is called here that are options of the command."""


def calibrate(
    spect: Annotated[
        Path,
        typer.Argument(
            metavar="SPECT",
            help="Reconstructed counts: a NIfTI file, an NM file, or a folder with one NM series.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="CALIBRATION.json to make a factor; ACTIVITY.nii.gz (with ACTIVITY.json) to "
            "convert to Bq/mL by one.",
        ),
    ],
    factor: Annotated[
        Path | None, typer.Option(help="CALIBRATION.json, to convert.", show_default="none")
    ] = None,
    duration_s: Annotated[
        float | None, typer.Option(help="Duration of the SPECT, s.", show_default="the header's")
    ] = None,
    time_h: Annotated[
        float | None,
        typer.Option(
            help="Start of infusion to the middle of the SPECT, h.", show_default="the header's"
        ),
    ] = None,
    heads: Annotated[int, typer.Option(help="Detector heads of the camera.")] = 2,
    decay_reference: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(DECAY_REFERENCES),
            help="To what NM counts that name DECY were corrected for decay; undone to mid-scan.",
            show_default="refused",
        ),
    ] = None,
    tau_us: Annotated[
        float | None,
        typer.Option(
            help="Dead time of a count in the photopeak window, µs.", show_default="no correction"
        ),
    ] = None,
    tau_sd_pct: Annotated[float, typer.Option(help="Its standard uncertainty, %.")] = 0.0,
    dead_time_model: Annotated[str, typer.Option(metavar="|".join(MODELS))] = PARALYZABLE,
    spect_cps: Annotated[
        float | None,
        typer.Option(
            help="With --tau-us: what one head recorded in the window during the SPECT, 1/s.",
            show_default="none",
        ),
    ] = None,
    camera_cps_per_mbq: Annotated[
        float | None,
        typer.Option(
            help="A known factor of the camera, cps/MBq, to convert by instead of --factor.",
            show_default="none",
        ),
    ] = None,
    camera_sd_pct: Annotated[
        float | None,
        typer.Option(help="Its standard uncertainty, %.", show_default="none"),
    ] = None,
    planar: Annotated[
        Path | None,
        typer.Option(
            help="Whole-body views before any excretion: NM file or folder.", show_default="none"
        ),
    ] = None,
    planar_time_h: Annotated[
        float | None,
        typer.Option(help="Start of infusion to the planar scan, h.", show_default="the header's"),
    ] = None,
    planar_place_mm: Annotated[
        str | None,
        typer.Option(
            metavar="X,Z",
            help="Where the pixel of the views nearest to the patient's left and feet lies in "
            "the world of the SPECT (to the right, to the head), mm.",
            show_default="found by correlation",
        ),
    ] = None,
    ct: Annotated[
        Path | None,
        typer.Option(help="CT in the world of the SPECT: NIfTI, HU.", show_default="none"),
    ] = None,
    administered_mbq: Annotated[
        float | None,
        typer.Option(
            help="Administered activity at the start of infusion, MBq.", show_default="none"
        ),
    ] = None,
    residual_mbq: Annotated[
        float, typer.Option(help="What was not given, decayed to the same moment, MBq.")
    ] = 0.0,
    administered_sd_pct: Annotated[
        float | None,
        typer.Option(help="Standard uncertainty of the net activity, %.", show_default="not known"),
    ] = None,
    nuclide: Annotated[str, typer.Option(help="Name as in ICRP-107.")] = "Lu-177",
    photon_kev: Annotated[
        float, typer.Option(help="Photon of the peak window, keV.")
    ] = _LUTETIUM_KEV,
    scatter: Annotated[
        str, typer.Option(metavar="|".join(METHODS), help="Correction of the views.")
    ] = TRIPLE,
    dew_factor: Annotated[
        float | None,
        typer.Option(
            help="With dew: scatter in the peak per count in the window below.",
            show_default="none",
        ),
    ] = None,
    detector_mm: Annotated[
        float | None,
        typer.Option(
            help="With --tau-us: length of a detector along the body, mm, for the sweep.",
            show_default="none",
        ),
    ] = None,
    biological_h: Annotated[
        float | None,
        typer.Option(help="Biological half-life of the body, h.", show_default="none"),
    ] = None,
    effective_h: Annotated[
        float | None,
        typer.Option(help="Effective half-life of the body, h.", show_default="none"),
    ] = None,
    excreted: Annotated[
        float | None,
        typer.Option(
            help="Fraction excreted from the planar scan to the SPECT, decay-corrected.",
            show_default="none",
        ),
    ] = None,
    excreted_at_most: Annotated[
        float | None,
        typer.Option(help="Bound of that fraction; the middle is taken.", show_default="none"),
    ] = None,
    excretion_sd: Annotated[
        float | None,
        typer.Option(
            help="Standard uncertainty: of a half-life over it, of --excreted as it is.",
            show_default="not known",
        ),
    ] = None,
    outside_views_at_most: Annotated[
        float | None,
        typer.Option(
            help="Bound of the fraction of the activity outside the views, such as in the legs; "
            "the middle is taken.",
            show_default="0 where no edge of them holds counts, else not known",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Calibrate SPECT counts (cps/MBq), or convert them to activity (Bq/mL).

    The factor is SPECT counts / duration / (administered activity, decayed to the SPECT and not
    excreted, in its field of view); the fraction in the field comes from the planar views,
    corrected for scatter, dead time and, by the CT, for attenuation (Halty 2018). A known factor
    of the camera is the alternative. The SPECT must be corrected for attenuation and scatter.

    Limits of the planar way: the views must hold the whole body, and tell nothing of excretion
    and redistribution from them to the SPECT. By views from head to thighs, told a half-life of
    10 h, a virtual patient's factor came out 46 % too low, which makes doses 86 % too high.
    The factor's uncertainty has a total only where all its parts are told: --administered-sd-pct,
    the excretion's (--excretion-sd, or --excreted-at-most), --outside-views-at-most where the
    views hold counts at an edge, and dead time (--tau-us 0 where none is lost).
    """
    refuse_existing(out, overwrite=overwrite)
    with options_named(_ARGUMENTS):
        dead_time = None if tau_us is None else DeadTime(tau_us, dead_time_model)
        correction = dead_time_correction(
            dead_time, observed_cps=spect_cps, tau_relative_sd=tau_sd_pct / 100.0
        )
        told = Told(duration_s, time_h, heads, decay_reference)
        if out.name.endswith(SUFFIX):
            if planar is not None:
                raise BadInput(
                    "--planar makes a factor, which is written to an OUT that ends in .json."
                )
            known = _known_factor(factor, camera_cps_per_mbq, camera_sd_pct)
            inputs = {} if factor is None else {"calibration": file_sha256(factor)}
            targets = out_and_json(out, overwrite=overwrite)
            with naming(spect):
                counted = read_spect(spect, told)
            _write_activity(targets, counted, known, correction[0], inputs)
            return
        if out.suffix != ".json" or factor is not None or camera_cps_per_mbq is not None:
            raise BadInput(
                "OUT must end in .nii.gz to convert by --factor or --camera-cps-per-mbq, and in "
                ".json to make a factor without them."
            )
        if planar is None or ct is None or administered_mbq is None:
            raise BadInput(
                "--planar, --ct and --administered-mbq must all be given to make a factor; a "
                "factor that is known goes by --camera-cps-per-mbq to an OUT that ends in .nii.gz."
            )
        if (dead_time is None) != (detector_mm is None):
            raise BadInput("--tau-us and --detector-mm must come together, for the planar sweep.")
        sweep = None
        if dead_time is not None and detector_mm is not None:
            sweep = Sweep(dead_time, detector_mm)
        choices = Choices(
            photon_kev,
            scatter,
            dew_factor,
            sweep,
            _place(planar_place_mm),
            outside_at_most=outside_views_at_most,
        )
        administered = Administered(
            administered_mbq,
            residual_mbq,
            None if administered_sd_pct is None else administered_sd_pct / 100.0,
            nuclide,
        )
        excretion = Excretion(biological_h, effective_h, excreted, excreted_at_most, excretion_sd)
        with naming(spect):
            counted = read_spect(spect, told)
        with naming(planar):
            views = read_planar(read_nm(planar, kind=WHOLE_BODY))
        with naming(ct):
            ct_hu = read_volume(ct, name="The CT")
        result = calibrate_by_images(
            counted,
            planar=views,
            planar_time_h=planar_time_h,
            ct=ct_hu,
            administered=administered,
            excretion=excretion,
            choices=choices,
            dead_time=correction,
        )
    parameters = {
        "administered": asdict(administered),
        "excretion": asdict(excretion),
        "planar": asdict(choices) | {"time_h": planar_time_h},
        "spect": asdict(told) | {"one_head_cps": spect_cps, "tau_sd_pct": tau_sd_pct},
    }
    sha256 = {f"planar_{number}": one for number, one in enumerate(views.sha256, 1)}
    sha256 |= {"spect": counted.sha256, "ct": file_sha256(ct)}
    content = factor_content(
        result.factor, images_story(result), parameters=parameters, sha256=sha256
    )
    _write(out, result.factor, content, result.warnings)


def _write_activity(
    targets: tuple[Path, Path],
    read: Spect,
    known: CalibrationFactor | None,
    dead_time_correction: float,
    inputs: dict[str, str],
) -> None:
    files, total_mbq, warnings = activity_files(
        read, known, dead_time_correction=dead_time_correction, inputs=inputs
    )
    write_together(dict(zip(targets, files, strict=True)))
    warn_of_each(warnings)
    say(f"{targets[0].name}: {total_mbq:.1f} MBq in the field of view.")


def _write(
    out: Path, factor: CalibrationFactor, content: dict[str, Any], warnings: list[str]
) -> None:
    write_together({out: json_bytes(content)})
    warn_of_each(warnings)
    total = factor.total_relative_sd
    told = "not known" if total is None else f"{total:.1%}"
    say(
        f"{out.name}: {factor.cps_per_mbq:.4g} cps/MBq, relative standard uncertainty {told}. "
        "The limits of the method stand in it."
    )


def _known_factor(
    path: Path | None, camera_cps_per_mbq: float | None, camera_sd_pct: float | None
) -> CalibrationFactor | None:
    if (camera_cps_per_mbq is None) != (camera_sd_pct is None):
        raise BadInput("--camera-cps-per-mbq and --camera-sd-pct must come together.")
    if camera_cps_per_mbq is None or camera_sd_pct is None:
        if path is None:
            return None
        with naming(path):
            return read_factor(path)
    if path is not None:
        raise BadInput("One of --factor and --camera-cps-per-mbq must be given, got both.")
    return CalibrationFactor(camera_cps_per_mbq, {"camera": camera_sd_pct / 100.0})


def _place(text: str | None) -> Alignment | None:
    if text is None:
        return None
    try:
        x_mm, z_mm = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(
            f"--planar-place-mm must be two numbers such as -250,-900, got '{text}'."
        ) from error
    return Alignment(x_mm, z_mm, None)
