"""``masks``: contours or segments become numbers on the grid of an image."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rpt_cohort import (
    BadInput,
    file_sha256,
    provenance,
    read_volume,
)
from rpt_cohort.command import Overwrite, naming, say

from rpt_dosimetry.commands.shared import out_and_json, warn_of_each, write_volume
from rpt_dosimetry.nifti import (
    FRAME_SHA256,
    LESION_NUMBERS,
    ORGAN_NUMBERS,
    nifti_and_beside,
    uid_sha256,
)

if TYPE_CHECKING:
    from rpt_dosimetry.masks.labels import Labels


def masks(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE.dcm", help="RTSTRUCT or SEG, or a folder with that file alone."
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT.nii.gz", help="Numbers to write; OUT.json comes beside it."),
    ],
    like: Annotated[
        Path,
        typer.Option(
            metavar="IMAGE.nii.gz",
            help="Whose grid the numbers have, in the world that the regions were drawn in: what "
            "activity, suv or ct wrote.",
        ),
    ],
    lesions: Annotated[
        bool,
        typer.Option(
            "--lesions", help="They are lesions, numbered from 1 in the file's order, not organs."
        ),
    ] = False,
    region: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a region to take; may be given again.", show_default="all of the file"
        ),
    ] = None,
    organ_table: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="What names mean which organ, by a changed copy of the package's own.",
            show_default="organs.csv of the package",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Bring the regions of an RTSTRUCT or SEG to the grid of an image, for dose.

    Organs get the numbers of TotalSegmentator (class map total) and of the contract, by their
    names or codes; lesions are numbered. OUT.json tells each region's volume as drawn and in the
    mask, mL. Regions of another frame of reference than the image are refused; a warning comes
    where no JSON beside the image tells its own.
    """
    from rpt_dosimetry.masks.labels import lesion_labels, organ_labels, region_file
    from rpt_dosimetry.masks.names import OWN_TABLE, read_organ_table

    target, beside = out_and_json(out, overwrite=overwrite)
    if like.resolve() in (target.resolve(), beside.resolve()):
        raise BadInput("OUT must be another file than --like, which it would replace. Rename it.")
    if not source.exists():
        raise BadInput(
            f"SOURCE must be an RTSTRUCT or SEG, and there is no '{source}'. Check its path."
        )
    if source.name.endswith((".nii", ".nii.gz")):
        raise BadInput("SOURCE must be an RTSTRUCT or SEG, got NIfTI. Give its numbers to dose.")
    if lesions and organ_table is not None:
        raise BadInput("--organ-table names organs, and --lesions takes none. Leave one out.")
    table_path = OWN_TABLE if organ_table is None else organ_table
    table = read_organ_table(table_path)
    path = region_file(source)
    image = read_volume(like, name="The image (--like)")
    warnings: list[str] = []
    frame_uid = _frame_uid(path, like, warnings)
    if lesions:
        labels = lesion_labels(path, image, frame_uid=frame_uid, regions=region, warnings=warnings)
    else:
        labels = organ_labels(
            path, image, frame_uid=frame_uid, table=table, regions=region, warnings=warnings
        )
    if not labels.volume.data.any():
        raise BadInput(
            "A region must hold the centre of a voxel of --like, and none does. Give the image "
            "that they were drawn on."
        )
    names = {} if lesions else table.names
    inputs = {"regions": path, "like": like} | ({} if lesions else {"organ table": table_path})
    told = {
        "quantity": LESION_NUMBERS if lesions else ORGAN_NUMBERS,
        "regions": _regions(labels, names),
        "warnings": warnings,
        "provenance": provenance(
            package="rpt-dosimetry",
            command="masks",
            parameters={
                "lesions": lesions,
                # free text, in which a patient's name may stand
                "regions": region and [sha256(name.encode()).hexdigest() for name in region],
            },
            inputs={role: file_sha256(one) for role, one in inputs.items()},
            libraries=("rpt-cohort", "pydicom", "numpy", "nibabel"),
        ),
    }
    dtype = np.uint16 if lesions else np.uint8
    write_volume((target, beside), labels.volume, told, dtype=dtype)
    warn_of_each(warnings)
    for one in labels.regions:
        name = names.get(one.label, f"lesion {one.label}")
        say(f"{target.name}: {name}, {one.mask_ml:.4g} mL ({one.drawn_ml:.4g} mL drawn).")


def _frame_uid(path: Path, like: Path, warnings: list[str]) -> str:
    """Return the frame of reference of the image, of those that the regions were drawn in."""
    from rpt_dosimetry.masks.labels import frames_of_reference

    drawn_in = frames_of_reference(path)
    with naming(like):
        wanted = nifti_and_beside(like).text(FRAME_SHA256)
    if wanted is not None:
        fitting = [uid for uid in drawn_in if uid_sha256(uid) == wanted]
        if not fitting:
            raise BadInput(
                "Frame of Reference UID (0020,0052) of the regions must be that of --like, and it "
                "is not: they were drawn on another image. Give the image that they were drawn on."
            )
        return fitting[0]
    if len(drawn_in) > 1:
        raise BadInput(
            f"The JSON beside --like must tell {FRAME_SHA256} where regions were drawn in several "
            f"frames of reference, here {len(drawn_in)}, and it does not. Give an image that the "
            "command activity, suv or ct wrote."
        )
    warnings.append(
        f"No JSON beside --like tells {FRAME_SHA256}: that the regions were drawn in its world "
        "could not be checked. Look at them on the image."
    )
    return next(iter(drawn_in), "")


def _regions(labels: "Labels", names: Any) -> list[dict[str, Any]]:
    """Tell each region, by numbers: a name is free text."""
    voxels = np.bincount(labels.volume.data.ravel())
    return [
        {
            "number": one.label,
            "organ": names.get(one.label),
            "number_in_source": one.number,
            "drawn_ml": one.drawn_ml,
            "mask_ml": one.mask_ml,
            "voxels": int(voxels[one.label]) if one.label < len(voxels) else 0,
        }
        for one in labels.regions
    ]
