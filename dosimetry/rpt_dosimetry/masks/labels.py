"""Regions that others drew, as numbers on a grid: organs in the contract's, lesions from 1 on.

Organs come by TotalSegmentator, too, where the user has it: its numbers are the contract's. It is
run as a program of its own and never imported, so that it may live in another environment; this
package does not install it, and fetches no weights.

Source: Wasserthal et al., Radiol Artif Intell 5 (2023) e230024; v2, class map ``total``.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from jaxtyping import Bool
from rpt_cohort import BadInput, Volume, grid_fault, nifti_bytes, read_volume
from rpt_cohort.labels import LARGEST

from rpt_dosimetry.dicom.contours import contour_mask, contour_volume_ml, read_structures
from rpt_dosimetry.dicom.reading import DICOM_ERRORS, is_dicom, quiet, text_of
from rpt_dosimetry.masks.names import OrganTable, words_of
from rpt_dosimetry.masks.segmentation import (
    SEGMENTATION_STORAGE,
    read_segments,
    segment_mask,
    segment_volume_ml,
)
from rpt_dosimetry.nifti import LARGEST_LESION, check_labels, voxel_ml

LARGEST_DIFFERENCE = 0.1
"""Ours: of a mask's volume from the volume that was drawn; more deserves a word."""

_NIFTI = (".nii", ".nii.gz")
_NOT_WHOLE = "The file of regions must be a whole RTSTRUCT, SEG or NIfTI file, and it is not."


@dataclass(frozen=True)
class Placed:
    """One region in a volume of numbers.

    Attributes:
        label: Its number in the volume.
        number: ROI Number, or Segment Number.
        drawn_ml: Volume as drawn: inside the contours, or of the segment.
        mask_ml: Volume of the voxels that have its number; those it shares with others may
            have another's.
    """

    label: int
    number: int
    drawn_ml: float
    mask_ml: float


@dataclass(frozen=True)
class Labels:
    """Regions as numbers.

    Attributes:
        regions: Which region each is, by rising number; empty where a file of numbers was read.
    """

    volume: Volume
    regions: tuple[Placed, ...]


@dataclass(frozen=True)
class _Drawn:
    """One region of a file.

    Attributes:
        kind: ``ROI`` or ``segment``.
        code: SNOMED CT code; empty where there is none.
        side: ``left``, ``right`` or empty.
        is_empty: Nothing that encloses anything was drawn.
    """

    kind: str
    number: int
    name: str
    code: str
    side: str
    is_empty: bool
    mask: Callable[[list[str]], Bool[np.ndarray, "x y z"]]
    drawn_ml: Callable[[], float]


def organ_labels(
    path: Path,
    image: Volume,
    *,
    frame_uid: str,
    table: OrganTable,
    regions: Sequence[str] | None,
    warnings: list[str],
) -> Labels:
    """Read organs in the numbers of the contract, from RTSTRUCT, SEG or NIfTI.

    Args:
        image: The image that they were drawn on, or another in its world.
        regions: Names of the regions to take; ``None`` takes all that enclose something.

    Returns:
        Numbers, on the grid of ``image``, or on a NIfTI file's own. Where organs overlap, the
        higher number is kept.

    Raises:
        BadInput: The file or a region that is taken cannot be read, was drawn on another image,
            or names what is no organ.
    """
    if path.name.endswith(_NIFTI):
        return Labels(_from_nifti(path, largest=LARGEST, dtype=np.uint8), ())
    drawn = _chosen(list(_drawn(path, image, frame_uid)), regions, warnings)
    ids = table.need([(one.name, one.code, one.side) for one in drawn])
    labels = np.zeros(image.data.shape, dtype=np.uint8)
    placed, overlapping = [], 0
    for id_, one in sorted(zip(ids, drawn, strict=True), key=lambda pair: pair[0]):
        mask, region = _placed(one, id_, image, warnings)
        overlapping += int(np.count_nonzero(labels[mask]))
        labels[mask] = id_
        placed.append(region)
    if overlapping:
        warnings.append(
            f"{overlapping} voxels lie in several organs; each went to that of the higher number."
        )
    return _counted(Volume(labels, image.affine), placed, table.names.__getitem__, warnings)


def lesion_labels(
    path: Path,
    image: Volume,
    *,
    frame_uid: str,
    regions: Sequence[str] | None,
    warnings: list[str],
) -> Labels:
    """Read lesions, numbered from 1 in the order of the file; arguments as for organs."""
    if path.name.endswith(_NIFTI):
        return Labels(_from_nifti(path, largest=LARGEST_LESION, dtype=np.uint16), ())
    labels = np.zeros(image.data.shape, dtype=np.uint16)
    placed = []
    for number, one in enumerate(
        _chosen(list(_drawn(path, image, frame_uid)), regions, warnings), start=1
    ):
        mask, region = _placed(one, number, image, warnings)
        taken = int(np.count_nonzero(labels[mask]))
        if taken:
            warnings.append(f"Lesion {number} shares {taken} voxels with others, and has them.")
        labels[mask] = number
        placed.append(region)
    return _counted(Volume(labels, image.affine), placed, "lesion {}".format, warnings)


def region_file(path: Path) -> Path:
    """Return a file of regions: the one named, or the only DICOM file of a folder."""
    if path.is_dir():
        files = dicom_below(path)
        if len(files) != 1:
            raise BadInput(
                f"The folder of regions must hold one DICOM file, got {len(files)}. Name the file."
            )
        path = files[0]
    if not path.is_file():
        raise BadInput("The file of regions must be there, and there is none. Check its path.")
    return path


def dicom_below(path: Path) -> list[Path]:
    """Return a file, or the DICOM files below a folder, sorted."""
    below = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [one for one in below if one.is_file() and is_dicom(one)]


def frames_of_reference(path: Path) -> set[str]:
    """Return the Frame of Reference UIDs in which a file's regions were drawn."""
    dataset = _read(path, "FrameOfReferenceUID", "StructureSetROISequence")
    try:
        with quiet():
            if _sop_class(dataset) == SEGMENTATION_STORAGE:
                return {str(dataset.get("FrameOfReferenceUID", ""))}
            rois = dataset.get("StructureSetROISequence") or []
            return {str(roi.get("ReferencedFrameOfReferenceUID", "")) for roi in rois}
    except DICOM_ERRORS as error:
        raise BadInput(_NOT_WHOLE) from error


def _drawn(path: Path, image: Volume, frame_uid: str) -> Iterator[_Drawn]:
    if _sop_class(_read(path)) == SEGMENTATION_STORAGE:
        for segment in read_segments(path, frame_of_reference_uid=frame_uid):
            yield _Drawn(
                *("segment", segment.number, segment.label, segment.code, segment.side),
                is_empty=not segment.mask.any(),
                mask=partial(segment_mask, segment, image),
                drawn_ml=partial(segment_volume_ml, segment),
            )
        return
    for structure in read_structures(path, frame_of_reference_uid=frame_uid):
        yield _Drawn(
            *("ROI", structure.number, structure.name, "", ""),
            is_empty=not structure.contours_mm and not structure.fault,
            mask=partial(contour_mask, structure, image),
            drawn_ml=partial(contour_volume_ml, structure, image),
        )


def _chosen(
    drawn: Sequence[_Drawn], regions: Sequence[str] | None, warnings: list[str]
) -> list[_Drawn]:
    if regions is None:
        chosen = [one for one in drawn if not one.is_empty]
        if not chosen:
            raise BadInput(
                f"The file of regions must hold a region that encloses something, and none of "
                f"{len(drawn)} does. Name another file."
            )
        if empty := len(drawn) - len(chosen):
            warnings.append(f"{empty} of {len(drawn)} regions enclose nothing; they were left out.")
        return chosen
    chosen = []
    for number, wanted in enumerate(regions, start=1):
        fitting = [one for one in drawn if words_of(one.name) == words_of(wanted)]
        if len(fitting) != 1:
            mend = "Give them names of their own." if fitting else "Write it as the file does."
            raise BadInput(
                f"Each region that is named must be one of the file, and name {number} fits "
                f"{len(fitting) or 'none'} of its {len(drawn)} regions. {mend}"
            )
        chosen += fitting
    return chosen


def _placed(
    one: _Drawn, label: int, image: Volume, warnings: list[str]
) -> tuple[Bool[np.ndarray, "x y z"], Placed]:
    """Make a region's mask, and say where it holds another volume than was drawn."""
    mask = one.mask(warnings)
    drawn_ml, mask_ml = one.drawn_ml(), float(np.count_nonzero(mask)) * voxel_ml(image.affine)
    if mask_ml and abs(mask_ml - drawn_ml) > LARGEST_DIFFERENCE * drawn_ml:
        warnings.append(
            f"The mask of {one.kind} {one.number} holds {mask_ml:.4g} mL, and {drawn_ml:.4g} mL "
            f"were drawn ({mask_ml / drawn_ml - 1.0:+.0%}): the voxels are coarse for it, or it "
            "reaches out of the image."
        )
    return mask, Placed(label, one.number, drawn_ml, mask_ml)


def _counted(
    labels: Volume,
    placed: Sequence[Placed],
    name_of: Callable[[int], str],
    warnings: list[str],
) -> Labels:
    """Count each region's voxels where all are placed; warn of one that others left none."""
    voxels = np.bincount(labels.data.ravel(), minlength=LARGEST_LESION + 1)
    for one in placed:
        if one.mask_ml and not voxels[one.label]:
            warnings.append(
                f"{name_of(one.label)} (number {one.number} in the file) is left with no voxel: "
                f"its {one.mask_ml:.4g} mL lie in others too, which have them. Check that no "
                "region was drawn twice."
            )
    counted = [
        replace(one, mask_ml=float(voxels[one.label]) * voxel_ml(labels.affine)) for one in placed
    ]
    return Labels(labels, tuple(counted))


def _read(path: Path, *names: str) -> pydicom.Dataset:
    try:
        with quiet():
            return pydicom.dcmread(path, specific_tags=["SOPClassUID", *names])
    except DICOM_ERRORS as error:
        raise BadInput(_NOT_WHOLE) from error


def _sop_class(dataset: pydicom.Dataset) -> str:
    return text_of(dataset, "SOPClassUID")


def _from_nifti(path: Path, *, largest: int, dtype: type[np.generic]) -> Volume:
    volume = read_volume(path, name="The file of regions")
    check_labels(volume, name="The file of regions", largest=largest)
    return Volume(volume.data.astype(dtype), volume.affine)


PROGRAM = "TotalSegmentator"
LARGEST_OF_PROGRAM = 117


def find_totalsegmentator() -> str:
    """Return the program's path.

    Raises:
        BadInput: It is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise BadInput(
            f"{PROGRAM} must be on the PATH, and it is not. Run: pip install TotalSegmentator, in "
            "an environment of its own if you like, and once: totalseg_download_weights -t total. "
            "Or give organs as RTSTRUCT, SEG or NIfTI."
        )
    return found


def segment_organs(ct: Volume, *, fast: bool) -> Volume:
    """Segment a CT into organ numbers 1 to 117, uint8, on its grid.

    Args:
        fast: Its model of 3 mm, for a machine without a GPU.

    Raises:
        BadInput: It is not installed, fails, or gives something else.
    """
    program = find_totalsegmentator()
    with TemporaryDirectory() as folder:
        given, made = Path(folder, "ct.nii.gz"), Path(folder, "organs.nii.gz")
        given.write_bytes(nifti_bytes(np.rint(ct.data), ct.affine, dtype=np.int16))
        words = [program, "-i", str(given), "-o", str(made), "--ml", "--task", "total"]
        ended = subprocess.run(
            words + ["--fast"] * fast, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if ended.returncode != 0 or not made.is_file():
            raise BadInput(
                f"{PROGRAM} must segment the CT, and it failed (exit {ended.returncode}). Run it "
                "on a CT by hand to see why; its weights may not be there: "
                "totalseg_download_weights -t total."
            )
        organs = read_volume(made, name=f"What {PROGRAM} made")
    fault = grid_fault(organs, ct, name=f"What {PROGRAM} made", like_name="the CT")
    if fault is not None:
        raise BadInput(fault)
    check_labels(organs, name=f"What {PROGRAM} made", largest=LARGEST_OF_PROGRAM)
    return Volume(organs.data.astype(np.uint8), organs.affine)
