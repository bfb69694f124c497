"""``calibrate`` makes a calibration factor; ``activity`` reads Bq/mL, or makes it of counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rpt_cohort import BadInput, file_sha256, json_bytes, read_volume, write_together
from rpt_cohort.command import Overwrite, naming, refuse_existing, say, with_options

from rpt_dosimetry.commands.convert import ListSeries, SeriesUid, list_series, show_progress
from rpt_dosimetry.commands.shared import out_and_json, warn_of_each, write_volume
from rpt_dosimetry.concentration import activity_report, read_concentration
from rpt_dosimetry.dicom.series import choose_pet, find_series
from rpt_dosimetry.options import CalibrateOptions, CountsOptions

if TYPE_CHECKING:
    from rpt_dosimetry.calibration.factor import CalibrationFactor


@with_options
def calibrate(
    *,
    spect: Annotated[
        Path,
        typer.Argument(
            metavar="SPECT",
            help="Reconstructed counts: a NIfTI file, an NM file, or a folder with one NM series.",
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="CALIBRATION.json", help="Factor to write, cps/MBq.")
    ],
    planar: Annotated[
        Path, typer.Option(help="Whole-body views before any excretion: NM file or folder.")
    ],
    ct: Annotated[Path, typer.Option(help="CT in the world of the SPECT: NIfTI, HU.")],
    administered_mbq: Annotated[
        float, typer.Option(help="Administered activity at the start of infusion, MBq.")
    ],
    residual_mbq: Annotated[
        float, typer.Option(help="What was not given, decayed to the same moment, MBq.")
    ] = 0.0,
    planar_time_h: Annotated[
        float | None,
        typer.Option(help="Start of infusion to the planar scan, h.", show_default="the header's"),
    ] = None,
    options: CalibrateOptions,
    overwrite: Overwrite = False,
) -> None:
    """Find the calibration factor of SPECT counts (cps/MBq) by the patient's whole-body views.

    The factor is SPECT counts / duration / (administered activity, decayed to the SPECT and not
    excreted, in its field of view); the fraction in the field comes from the planar views,
    corrected for scatter, dead time and, by the CT, for attenuation (Halty 2018). The SPECT must
    be corrected for attenuation and scatter.

    Limits: the views must hold the whole body, and tell nothing of excretion and redistribution
    from them to the SPECT. By views from head to thighs, told a half-life of 10 h, a virtual
    patient's factor came out 46 % too low, which makes doses 86 % too high. The factor's
    uncertainty has a total only where all its parts are told: administered_sd_pct, the excretion's
    (excretion_sd, or excreted_at_most), outside_views_at_most where the views hold counts at an
    edge, and dead_time (tau_us: 0 where none is lost).
    """
    from rpt_dosimetry.calibration.factor import (
        QUANTITY,
        calibration_provenance,
        factor_story,
        read_spect,
    )
    from rpt_dosimetry.calibration.image_based import calibrate_by_images, images_story
    from rpt_dosimetry.dicom.nm import WHOLE_BODY, read_nm
    from rpt_dosimetry.dicom.planar import read_planar

    if out.suffix != ".json":
        raise BadInput(f"CALIBRATION.json must end in .json, got '{out}'. activity makes Bq/mL.")
    refuse_existing(out, overwrite=overwrite)
    with naming(spect):
        counted = read_spect(spect, options)
    with naming(planar):
        views = read_planar(read_nm(planar, kind=WHOLE_BODY))
    with naming(ct):
        ct_hu = read_volume(ct, name="The CT")
    result = calibrate_by_images(
        counted,
        planar=views,
        planar_time_h=planar_time_h,
        ct=ct_hu,
        administered_mbq=administered_mbq,
        residual_mbq=residual_mbq,
        options=options,
        dead_time=options.dead_time,
        head_cps=options.head_cps,
        nuclide=options.nuclide,
        photon_kev=options.photon_kev,
    )
    sha256 = {f"planar_{number}": one for number, one in enumerate(views.sha256, 1)}
    sha256 |= {"spect": counted.sha256, "ct": file_sha256(ct)}
    given = {
        "administered_mbq": administered_mbq,
        "residual_mbq": residual_mbq,
        "planar_time_h": planar_time_h,
    }
    parameters = given | options.model_dump(mode="json")
    content = {"quantity": QUANTITY, **factor_story(result.factor), **images_story(result)}
    content["provenance"] = calibration_provenance("calibrate", parameters, sha256)
    write_together({out: json_bytes(content)})
    warn_of_each(result.warnings)
    total = result.factor.total_relative_sd
    told = "not known" if total is None else f"{total:.1%}"
    say(
        f"{out.name}: {result.factor.cps_per_mbq:.4g} cps/MBq, relative standard uncertainty "
        f"{told}. The limits of the method stand in it."
    )


@with_options
def activity(
    *,
    spect: Annotated[
        Path,
        typer.Argument(
            metavar="SERIES_DIR|SPECT",
            help="Folder with DICOM files, whose subfolders are searched; or an NM or NIfTI file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.nii.gz",
            help="Activity concentration to write, Bq/mL; OUT.json comes beside it.",
        ),
    ] = None,
    only_list: ListSeries = False,
    series: SeriesUid = None,
    factor: Annotated[
        Path | None,
        typer.Option(help="CALIBRATION.json, to convert counts by.", show_default="none"),
    ] = None,
    camera_cps_per_mbq: Annotated[
        float | None,
        typer.Option(help="A known factor of the camera, cps/MBq, instead.", show_default="none"),
    ] = None,
    camera_sd_pct: Annotated[
        float | None, typer.Option(help="Its standard uncertainty, %.", show_default="none")
    ] = None,
    options: CountsOptions,
    overwrite: Overwrite = False,
) -> None:
    """Read a PET or SPECT as activity concentration (Bq/mL) at mid-scan, or make it of counts.

    Reads Units BQML in PET images, which SPECT scanners write too. The vendor's correction
    for decay (ADMIN, START or NONE) is undone with the series' own half-life, in s, so that
    the values are those of the middle of the scan; OUT.json tells its time in h after the
    begin of the administration. Counts of an NM series or a NIfTI file become Bq/mL by --factor or
    --camera-cps-per-mbq; without one they are refused, as SUV is: Bq/mL is never guessed.
    """
    if only_list:
        list_series(spect)
        return
    targets = out_and_json(out, overwrite=overwrite)
    if factor is not None or camera_cps_per_mbq is not None or spect.is_file():
        known = _known_factor(factor, camera_cps_per_mbq, camera_sd_pct)
        inputs = {} if factor is None else {"calibration": file_sha256(factor)}
        _write_counted(targets, spect, options, known, series=series, inputs=inputs)
        return
    found: list[str] = []
    with naming(spect):
        every = find_series(spect, warnings=found, progress=show_progress)
        if not any(one.is_pet for one in every) and any(one.modality == "NM" for one in every):
            _write_counted(targets, spect, options, None, series=series, inputs={})
            return
        chosen = choose_pet(every, series)
    if options != CountsOptions():
        raise BadInput("A series in Bq/mL tells its times itself. Leave the options of counts out.")
    result = read_concentration(chosen, warnings=found, progress=show_progress)
    told = activity_report(result, series=chosen)
    write_volume(targets, result.volume, told, dtype=np.float32)
    warn_of_each(result.warnings)
    when_h = told["injection_to_mid_scan_h"]
    when = "time unknown" if when_h is None else f"{when_h:.3f} h after the injection"
    say(
        f"{targets[0].name}: {told['decay_branch']}; {when}; "
        f"{told['activity_in_field_of_view_mbq']:.1f} MBq in the field of view."
    )


def _write_counted(
    targets: tuple[Path, Path],
    spect: Path,
    options: CountsOptions,
    known: "CalibrationFactor | None",
    *,
    series: str | None,
    inputs: dict[str, str],
) -> None:
    """Write the activity of an NM or NIfTI SPECT; one that is in Bq/mL is kept."""
    from rpt_dosimetry.calibration.factor import activity_files, dead_time_correction, read_spect

    correction, _ = dead_time_correction(options.dead_time, head_cps=options.head_cps)
    with naming(spect):
        read = read_spect(spect, options, series=series)
    files, total_mbq, warnings = activity_files(
        read, known, dead_time_correction=correction, inputs=inputs
    )
    write_together(dict(zip(targets, files, strict=True)))
    warn_of_each(warnings)
    say(f"{targets[0].name}: {total_mbq:.1f} MBq in the field of view.")


def _known_factor(
    path: Path | None, camera_cps_per_mbq: float | None, camera_sd_pct: float | None
) -> "CalibrationFactor | None":
    from rpt_dosimetry.calibration.factor import CalibrationFactor, read_factor

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
