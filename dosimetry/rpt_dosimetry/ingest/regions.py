"""Organs and lesions of a cycle, on its grid, in the contract's numbers."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Bool, Float, Shaped, UInt8
from rpt_cohort import BadInput, Volume, read_volume
from rpt_cohort.labels import LARGEST, REMAINING_BODY

from rpt_dosimetry.attributes import SOP_CLASS
from rpt_dosimetry.contour_masks import contour_mask
from rpt_dosimetry.dose.regions import LARGEST_LESION, check_labels
from rpt_dosimetry.elements import components
from rpt_dosimetry.ingest.study import MaskSource
from rpt_dosimetry.masks.names import OrganTable, words_of
from rpt_dosimetry.masks.segmentation import SEGMENTATION_STORAGE, read_segments, segment_mask
from rpt_dosimetry.reading import DICOM_ERRORS, is_dicom, quiet
from rpt_dosimetry.registration.one_grid import GridMm
from rpt_dosimetry.registration.rigid import Rigid
from rpt_dosimetry.structures import read_structures

BODY_ABOVE_HU = -300.0
"""Ours: between air and fat, half-way as a voxel on the skin is."""
_NIFTI = (".nii", ".nii.gz")

Drawn = tuple[str, str, str, Callable[[], Bool[np.ndarray, "x y z"]]]
"""Name, code and side of a region, and what makes its mask on the scan it was drawn on."""


def organ_labels(
    source: MaskSource,
    path: Path,
    scan: Volume,
    *,
    frame_uid: str,
    table: OrganTable,
    warnings: list[str],
) -> Volume:
    """Read organs in the numbers of the contract.

    Args:
        source: What the study tells of them.
        path: RTSTRUCT, SEG or NIfTI.
        scan: The CT that they were drawn on.
        frame_uid: Its Frame of Reference UID.
        table: What the regions' names mean.
        warnings: Takes what the user should know.

    Returns:
        Numbers, on the grid of ``scan`` or on the file's own. Where organs overlap, the higher
        number is kept.

    Raises:
        BadInput: The file cannot be read, was drawn on another image, or names what is no organ.
    """
    if path.name.endswith(_NIFTI):
        return _from_nifti(path, largest=LARGEST, dtype=np.uint8)
    drawn = _chosen(list(_drawn(path, scan, frame_uid, warnings)), source)
    ids = table.need([(name, code, side) for name, code, side, _ in drawn])
    labels = np.zeros(scan.data.shape, dtype=np.uint8)
    overlapping = 0
    for id_, (*_, mask_of) in sorted(zip(ids, drawn, strict=True), key=lambda pair: pair[0]):
        mask = mask_of()
        overlapping += int(np.count_nonzero(labels[mask]))
        labels[mask] = id_
    if overlapping:
        warnings.append(
            f"{overlapping} voxels lie in several organs; each went to that of the higher number."
        )
    return Volume(labels, scan.affine)


def lesion_labels(
    source: MaskSource, path: Path, scan: Volume, *, frame_uid: str, warnings: list[str]
) -> Volume:
    """Read lesions, numbered from 1 in the order of the file; arguments as for organs."""
    if path.name.endswith(_NIFTI):
        return _from_nifti(path, largest=LARGEST_LESION, dtype=np.uint16)
    labels = np.zeros(scan.data.shape, dtype=np.uint16)
    drawn = _chosen(list(_drawn(path, scan, frame_uid, warnings)), source)
    for number, (*_, mask_of) in enumerate(drawn, start=1):
        mask = mask_of()
        taken = int(np.count_nonzero(labels[mask]))
        if taken:
            warnings.append(f"Lesion {number} shares {taken} voxels with others, and has them.")
        labels[mask] = number
    return Volume(labels, scan.affine)


def nearest(labels: Volume, grid: GridMm, rigid: Rigid) -> Shaped[np.ndarray, "x y z"]:
    """Carry labels to a grid: each voxel has the label at its centre, 0 outside.

    Args:
        labels: Numbers on any grid.
        grid: Where they are to stand.
        rigid: Position on the grid → position in ``labels``.
    """
    whole = np.linalg.inv(labels.affine) @ rigid.fixed_to_moving @ grid.affine
    x, y, z = (np.arange(size) for size in grid.shape)
    inside = np.ones(grid.shape, dtype=np.bool_)
    index = []
    for axis, size in enumerate(labels.data.shape):
        a, b, c, start = whole[axis]
        at = (a * x)[:, None, None] + (b * y)[:, None] + (c * z + start)
        # Half a millionth of a voxel, so that rounding does not decide what lies on a face.
        voxel = np.floor(at + 0.5 + 5e-7).astype(np.int32)
        inside &= (voxel >= 0) & (voxel < size)
        index.append(np.clip(voxel, 0, size - 1))
    carried: Shaped[np.ndarray, "x y z"] = labels.data[tuple(index)]
    carried[~inside] = 0
    return carried


def with_body(
    organs: Shaped[np.ndarray, "x y z"] | None, ct_hu: Float[np.ndarray, "x y z"]
) -> UInt8[np.ndarray, "x y z"]:
    """Add the remaining body to organs, from the CT.

    The body is the largest part above −300 HU after an opening of the slices by a voxel, which
    takes the couch off, and the air that it encloses in a slice. The steps are ours.

    Args:
        organs: Numbers; ``None`` for none.
        ct_hu: CT on the same grid, HU.

    Raises:
        BadInput: The CT shows no body.
    """
    from scipy import ndimage

    # Within slices alone: an opening along them would eat the ends of the body.
    cross = ndimage.generate_binary_structure(2, 1)[:, :, np.newaxis]
    thick = ndimage.binary_opening(ct_hu > BODY_ABOVE_HU, cross)
    parts, count = ndimage.label(thick)
    if not count:
        raise BadInput(
            f"The CT must show a body, above {BODY_ABOVE_HU:g} HU, where the first SPECT is, and "
            "it does not. Name the CT of that SPECT."
        )
    body = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    for slice_ in np.moveaxis(body, 2, 0):
        slice_[:] = ndimage.binary_fill_holes(slice_)
    found = np.zeros(ct_hu.shape, dtype=np.uint8) if organs is None else organs.astype(np.uint8)
    return np.where((found == 0) & body, np.uint8(REMAINING_BODY), found)


def mask_path(source: MaskSource, root: Path) -> Path:
    """Return the file of regions: the one named, or the only DICOM file of a folder.

    Raises:
        BadInput: There is none, or there are several.
    """
    path = root / source.file
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


def _drawn(path: Path, scan: Volume, frame_uid: str, warnings: list[str]) -> Iterator[Drawn]:
    if _sop_class(path) == SEGMENTATION_STORAGE:
        for segment in read_segments(path, frame_of_reference_uid=frame_uid):
            mask_of = partial(segment_mask, segment, scan, warnings)
            yield segment.label, segment.code, segment.side, mask_of
        return
    for structure in read_structures(path, frame_of_reference_uid=frame_uid):
        yield structure.name, "", "", partial(contour_mask, structure, scan, warnings)


def _chosen(drawn: list[Drawn], source: MaskSource) -> list[Drawn]:
    if source.regions is None:
        return drawn
    chosen = []
    for number, wanted in enumerate(source.regions):
        fitting = [one for one in drawn if words_of(one[0]) == words_of(wanted)]
        if len(fitting) != 1:
            raise BadInput(
                f"regions.{number} must name one region of the file, and {len(fitting)} of "
                f"{len(drawn)} fit. Write it as the file does."
            )
        chosen += fitting
    return chosen


def _sop_class(path: Path) -> str:
    try:
        with quiet():
            dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"])
    except DICOM_ERRORS as error:
        raise BadInput(
            "The file of regions must be a whole RTSTRUCT, SEG or NIfTI file, and it is not."
        ) from error
    return "".join(components(dataset, SOP_CLASS))


def _from_nifti(path: Path, *, largest: int, dtype: type[np.generic]) -> Volume:
    volume = read_volume(path, name="The file of regions")
    check_labels(volume, name="The file of regions", largest=largest)
    return Volume(volume.data.astype(dtype), volume.affine)
