"""Commands on activity and dose: ``register``, ``kernel``, ``dose`` and ``cumulate``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rpt_cohort import BadInput, Volume, json_bytes, provenance, write_together
from rpt_cohort.command import Overwrite, at_work, say, warn, with_options

from rpt_dosimetry.commands.shared import out_and_json, warn_of_each, write_volume
from rpt_dosimetry.options import DoseOptions
from rpt_dosimetry.radiation.media import MEDIA, find_medium
from rpt_dosimetry.registration.transform import SLICE_VOXELS

if TYPE_CHECKING:
    from rpt_dosimetry.radiation.kernel import Kernel, Spacing
    from rpt_dosimetry.registration.pair import Registration, Start

LEAST_VOXELS, MOST_VOXELS = 32, 512
LOST_SHARE = 0.01
"""Ours: activity outside the grid that deserves a word."""


def register(
    fixed: Annotated[
        Path,
        typer.Argument(
            metavar="FIXED.nii.gz",
            help="Emission image that stays, such as the first SPECT, Bq/mL.",
        ),
    ],
    moving: Annotated[
        Path,
        typer.Argument(
            metavar="MOVING.nii.gz",
            help="Emission image to lay over it: a later SPECT, Bq/mL, or the PET, g/mL.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write, new or empty.")],
    fixed_ct: Annotated[
        Path | None,
        typer.Option(help="CT of the fixed scan, HU, on any grid.", show_default="none"),
    ] = None,
    moving_ct: Annotated[
        Path | None,
        typer.Option(help="CT of the moving scan, HU, on any grid.", show_default="none"),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Where to look, above 0, on the grid of --fixed-ct, or of FIXED without CTs.",
            show_default="the body",
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            metavar="world|search",
            help="world: positions (mm) mean the same in both scans, as on one scanner. search: "
            "they do not; look for the shift along the patient first.",
        ),
    ] = "world",
    deformable: Annotated[
        bool,
        typer.Option(
            "--deformable",
            help="Let a deformation follow the rigid transform (needs itk-elastix).",
        ),
    ] = False,
    slice_voxels: Annotated[
        int, typer.Option(help="Voxels along and across a slice of the common grid.")
    ] = SLICE_VOXELS,
) -> None:
    """Register a scan rigidly to another by mutual information; write both on one grid.

    CT to CT where both scans have one, else emission to emission. The moving image is resampled
    once, and its activity is kept. DIR gets fixed, moving, ct (HU), covered (share of a voxel
    that the moving image covers), the transform (.tfm), check.png to look at, and
    registration.json with the residual (mm, degrees) and the activity outside the grid (%). What
    a JSON beside an image tells (time, nuclide) is handed on to fixed.json and moving.json.
    Refused where it moves the body by more than 60 mm or 20°, or the scans do not agree.
    --deformable adds displacement_mm and jacobian (volume ratio, by which the deformed moving
    image is multiplied, so that tissue that is squeezed keeps its activity), and is refused where
    space folds over itself.
    """
    from rpt_dosimetry.registration.job import RegistrationFiles, write_registration

    files = RegistrationFiles(fixed, moving, fixed_ct, moving_ct, mask)
    if not LEAST_VOXELS <= slice_voxels <= MOST_VOXELS:
        raise BadInput(
            f"--slice-voxels must be {LEAST_VOXELS} to {MOST_VOXELS}, got {slice_voxels}."
        )
    with at_work("Registering"):
        found, carried = write_registration(
            files, start=_start(start), deform=deformable, slice_voxels=slice_voxels, out=out
        )
    if carried.left_share > LOST_SHARE:
        warn(f"{carried.left_share:.1%} of the moving image's activity lies outside the grid.")
    told = found.residual
    say(
        f"{out.name}: registered by {found.fixed.kind}; centre moved {told.centre_mm:.1f} mm, "
        f"turned {told.rotation_deg:.1f}°; normalised mutual information "
        f"{told.before.normalised_mutual_information:.3f} to "
        f"{told.after.normalised_mutual_information:.3f}.{_volumes(found)} Look at check.png."
    )


def _volumes(found: "Registration") -> str:
    if found.volumes is None:
        return ""
    return (
        f" Volumes in the body change by factors of {found.volumes.least:.2f} to "
        f"{found.volumes.largest:.2f}."
    )


def _start(text: str) -> "Start":
    if text == "world":
        return "world"
    if text == "search":
        return "search"
    raise BadInput(f"--start must be world or search, got '{text}'.")


LEAST_MM, LARGEST_MM = 0.5, 50.0
WRITTEN_VOXELS = 2**22
"""Ours: 17 MB. Far from the source a kernel is long and nearly 0: at 2.21 mm the last per cent of
the energy would make 313 voxels a side of 161."""
_MEDIA = ", ".join(
    f"{one.name} ({one.what}, {one.density_g_per_cm3:g} g/mL)" for one in MEDIA.values()
)


def kernel(
    voxel_mm: Annotated[
        str,
        typer.Option(metavar="X,Y,Z", help="Sides of a voxel, mm, such as 4.8,4.8,4.8."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="KERNEL.nii.gz",
            help="Voxel S-values to write, mGy/(MBq·s); KERNEL.json comes beside it.",
        ),
    ],
    nuclide: Annotated[str, typer.Option(help="ICRP-107 name.")] = "Lu-177",
    medium: Annotated[str, typer.Option(help=f"One of {_MEDIA}.")] = "soft",
    overwrite: Overwrite = False,
) -> None:
    """Compute the voxel S-values (mGy/(MBq·s)) of a nuclide in an infinite medium.

    The source voxel is at the centre; every side has an odd number of voxels and reaches until
    less than 1 % of the absorbed energy lies outside, or the kernel has 4 million voxels (161 a
    side). left_out of KERNEL.json tells what lies outside. Electrons go by their spectrum, range
    and multiple scattering, photons by Monte Carlo with a fixed seed.
    """
    from rpt_dosimetry.radiation.kernel import compute_kernel, cut_shape, kernel_shape

    targets = out_and_json(out, overwrite=overwrite)
    spacing_mm = _spacing(voxel_mm)
    shape = kernel_shape(nuclide, spacing_mm=spacing_mm, medium_name=medium)
    x, y, z = cut_shape(shape, spacing_mm=spacing_mm, most_voxels=WRITTEN_VOXELS)
    offsets = x // 2 + 1, y // 2 + 1, z // 2 + 1
    computed = compute_kernel(nuclide, spacing_mm=spacing_mm, medium_name=medium, largest=offsets)
    values = computed.s_mgy_per_mbq_s()
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -np.array(spacing_mm) * (np.array(values.shape) // 2)
    told = _story(computed, values, nuclide=nuclide, medium=medium)
    write_volume(targets, Volume(values, affine), told, dtype=np.float32)
    say(
        f"{targets[0].name}: {nuclide} in {medium} ({told['medium_is']}, "
        f"{computed.density_g_per_cm3:g} g/mL), {told['shape'][0]} × {told['shape'][1]} × "
        f"{told['shape'][2]} voxels; self {told['self_mgy_per_mbq_s']:.4g} mGy/(MBq·s); "
        f"{computed.absorbed_kev:.2f} of {computed.emitted_kev:.2f} keV per decay inside, "
        f"{told['left_out']:.2%} left out."
    )


def _spacing(text: str) -> "Spacing":
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(
            f"--voxel-mm must be three numbers such as 4.8,4.8,4.8, got '{text}'."
        ) from error
    if not all(LEAST_MM <= side <= LARGEST_MM for side in (x, y, z)):  # NaN compares as false
        raise BadInput(
            f"--voxel-mm must be sides from {LEAST_MM:g} to {LARGEST_MM:g} mm, got '{text}'."
        )
    return x, y, z


def _story(computed: "Kernel", values: np.ndarray, *, nuclide: str, medium: str) -> dict[str, Any]:
    from rpt_dosimetry.radiation.electrons import ELECTRONS
    from rpt_dosimetry.radiation.kernel import whole_sum
    from rpt_dosimetry.radiation.nuclide import find_nuclide
    from rpt_dosimetry.radiation.photons import PHOTONS, SEED

    found, material = find_nuclide(nuclide), find_medium(medium)
    centre = tuple(n // 2 for n in values.shape)
    return {
        "quantity": "voxel S-value, mGy/(MBq·s)",
        "nuclide": nuclide,
        "half_life_h": found.half_life_h,
        "medium": medium,
        "medium_is": material.what,
        "density_g_per_cm3": material.density_g_per_cm3,
        "mass_percent": dict(material.mass_percent),
        "voxel_mm": list(computed.spacing_mm),
        "voxel_g": computed.voxel_g,
        "shape": list(values.shape),
        "self_mgy_per_mbq_s": float(values[centre]),
        "energy_kev_per_decay": {
            "emitted_electrons": found.electron_kev,
            "emitted_photons": found.photon_kev,
            "absorbed_electrons": whole_sum(computed.electron_kev),
            "absorbed_photons": whole_sum(computed.photon_kev),
            "absorbed": computed.absorbed_kev,
            "escaped": computed.escaped_kev,
        },
        "left_out": computed.escaped_kev / computed.emitted_kev,
        "provenance": provenance(
            package="rpt-dosimetry",
            command="kernel",
            parameters={
                "nuclide": nuclide,
                "medium": medium,
                "voxel_mm": list(computed.spacing_mm),
                "photons": PHOTONS,
                "electrons": ELECTRONS,
            },
            seed=SEED,
            libraries=("rpt-cohort", "icrp107-database", "xraydb", "numpy", "nibabel"),
        ),
    }


@with_options
def dose(
    *,
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
    options: DoseOptions,
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
) -> None:
    """Compute the absorbed dose of one therapy cycle from its activity images.

    DIR receives dose.nii.gz (Gy/GBq of net administered activity), dose_gy.nii.gz (Gy),
    tia.nii.gz (time-integrated activity, MBq h/mL), organs.csv (image, organs and lesions: mean,
    SD, D2, D50, D98, half-life, BED, uncertainty) and summary.json, which defines every column.
    Images must be registered to each other and not be corrected for decay. Where a JSON stands
    beside one, it is held against what is typed, and without --time-h sets the images' order.
    """
    from rpt_dosimetry.dose.activity_series import Therapy, told_scans
    from rpt_dosimetry.dose.job import Files, write_dose
    from rpt_dosimetry.radiation.nuclide import find_nuclide
    from rpt_dosimetry.tia.exponential_fit import check_times

    parent = out.resolve().parent
    if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):
        raise BadInput(
            f"The folder of --out must be writable, and '{out.parent}' is not: '{out}' cannot be "
            "written."
        )
    Files(activity, ct=ct, organs=organs, lesions=lesions).check_there()
    scans = told_scans(
        activity,
        time_h=time_h or None,
        nuclide=nuclide,
        administered_mbq=administered_mbq,
        calibration_sd_pct=options.calibration_sd_pct,
    )
    check_times(scans.time_h, infusion_h=infusion_h)
    therapy = Therapy(
        nuclide=find_nuclide(scans.nuclide),
        administered_mbq=administered_mbq,
        residual_mbq=residual_mbq,
        infusion_h=infusion_h,
        time_h=tuple(scans.time_h),
    )
    if options.engine == "vsv":
        say("Computing curves and dose; the kernel takes some seconds …")
    result, warnings = write_dose(
        Files(scans.activities, ct=ct, organs=organs, lesions=lesions),
        therapy,
        options.model_copy(update={"calibration_sd_pct": scans.calibration_sd_pct}),
        warnings=scans.warnings,
        out=out,
    )
    warn_of_each(warnings)
    image = result.rows[0]
    say(
        f"{out.name}: {scans.nuclide}, {options.engine}, {len(result.rows)} regions, dose up to "
        f"{float(result.dose_gy.max()):.4g} Gy, {image.map_tia_mbq_h:.5g} MBq h in the image."
    )


def cumulate(
    dose_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="DOSE_DIR…",
            help="Folders that `dose` wrote, or a cohort's cycles (COHORT/P001/C1) that `ingest` "
            "wrote, one a cycle of the same patient, the last one last.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.json", help="File to write.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=GY",
            help="Limit of a region's cumulative mean dose, Gy, such as kidney=23. Repeat it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sum mean dose and BED (Gy) over cycles; tell the activity (MBq) that reaches a limit.

    A further cycle is taken to give the dose per activity of the last one. The interval of the
    activity has about 95 % and holds the dose's uncertainty, as far as it is known, and the spread
    between cycles. Lesion numbers must mean the same lesion in all cycles.
    """
    from rpt_dosimetry.dose.cumulative import cumulate_cycles, read_cycle_table
    from rpt_dosimetry.dose.rows import parse_by_region

    limits_gy = parse_by_region(limit or [], option="--limit", unit="Gy")
    _refuse_json(out, dose_dirs)
    cycles = [read_cycle_table(folder) for folder in dose_dirs]
    told = cumulate_cycles(cycles, limits_gy)
    inputs = {
        f"cycle_{number}/{file}": sha256
        for number, cycle in enumerate(cycles, start=1)
        for file, sha256 in cycle.inputs.items()
    }
    told["provenance"] = provenance(
        package="rpt-dosimetry",
        command="cumulate",
        parameters={"limit_gy": limits_gy},
        inputs=inputs,
    )
    write_together({out: json_bytes(told)})
    if len(set(told["engines"])) > 1:
        warn("The cycles' doses come from different engines, which may differ by some percent.")
    if told["not_in_every_cycle"]:
        warn(f"Left out, not in every cycle: {', '.join(told['not_in_every_cycle'])}.")
    for name, reach in told["limits"].items():
        say(_sentence(name, reach))


def _sentence(name: str, reach: dict[str, Any]) -> str:
    start = f"{name}: {reach['dose_gy']:.4g} of {reach['limit_gy']:g} Gy; "
    if not reach["activity_to_limit_mbq"]:
        return start + "the limit is reached."
    interval = reach["interval_95_mbq"]
    spread = "unknown interval"
    if interval is not None:
        spread = "{:.4g} to {:.4g}".format(*interval) + _known_parts(reach["unknown_parts"])
    return start + f"the limit is {reach['activity_to_limit_mbq']:.4g} MBq away ({spread})."


def _known_parts(unknown: tuple[str, ...]) -> str:
    if not unknown:
        return ""
    from rpt_dosimetry.dose.cumulative import PARTS

    known = " and ".join(part for part in PARTS if part not in unknown)
    return f", of {known} alone; {', '.join(unknown)} unknown"


def _refuse_json(out: Path, dose_dirs: list[Path]) -> None:
    if out.suffix != ".json":
        raise BadInput(f"--out must end in .json, got '{out}'.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise BadInput(
            f"The folder of --out must exist and be writable, got '{out}'. Create it first."
        )
    if out.is_dir():
        raise BadInput(f"--out must be a file, got the folder '{out}'. Name a file inside it.")
    if any(out.resolve().is_relative_to(folder.resolve()) for folder in dose_dirs):
        raise BadInput(
            f"--out '{out}' must not be inside a DOSE_DIR, whose files it may replace. Name "
            "another folder."
        )
