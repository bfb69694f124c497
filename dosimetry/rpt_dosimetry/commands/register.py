"""``register``: a scan is laid over another, and both stand on one grid."""

from pathlib import Path
from typing import Annotated

import typer
from rpt_cohort import BadInput
from rpt_cohort.command import at_work, say, warn

from rpt_dosimetry.registration.job import RegistrationFiles, write_registration
from rpt_dosimetry.registration.pair import Registration, Start
from rpt_dosimetry.registration.transform import SLICE_VOXELS

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


def _volumes(found: Registration) -> str:
    if found.volumes is None:
        return ""
    return (
        f" Volumes in the body change by factors of {found.volumes.least:.2f} to "
        f"{found.volumes.largest:.2f}."
    )


def _start(text: str) -> Start:
    if text == "world":
        return "world"
    if text == "search":
        return "search"
    raise BadInput(f"--start must be world or search, got '{text}'.")
