"""Read an RT Dose object as a volume of absorbed dose; and where the frames of a dose stand.

Dose = stored value × Dose Grid Scaling. A volume's axes are turned to run to the left, back and
head as nearly as they can: a dose on an upright grid then has the orientation 1, 0, 0, 0, 1, 0,
the only one that some planning systems read. Oblique grids keep their angles. DICOM's patient
axes are LPS, NIfTI's RAS.

Source: DICOM PS3.3, C.8.8.3 (RT Dose), C.7.6.2 (Image Plane: a position is that of a voxel's
centre) and C.8.8.3.2 (Grid Frame Offset Vector: distances along the normal, from the first
frame).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds
from rpt_cohort import BadInput, Volume, grid_fault

from rpt_dosimetry.dicom.reading import (
    BOUNDS,
    components,
    numbers_of,
    read_object,
    shown,
    text_of,
)
from rpt_dosimetry.dicom.series import HEADER
from rpt_dosimetry.dicom.slices import Grid, decoded, find_grid

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class FrameGrid:
    """The attributes that place the frames, as decimal strings of 16 characters at most.

    Attributes:
        position_mm: Centre of the first voxel of the first frame, LPS.
        orientation: Direction cosines of a row, then of a column, LPS.
        spacing_mm: Distance of rows, then of columns.
        offsets_mm: Distance of each frame from the first, along the normal.
    """

    position_mm: tuple[str, ...]
    orientation: tuple[str, ...]
    spacing_mm: tuple[str, ...]
    offsets_mm: tuple[str, ...]

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Column, row, frame → position, mm, LPS, of the strings as they are written."""
        row, column = np.array(self.orientation, dtype=np.float64).reshape(2, 3)
        rows_mm, columns_mm = (float(text) for text in self.spacing_mm)
        affine = np.eye(4)
        affine[:3, 0] = row * columns_mm
        affine[:3, 1] = column * rows_mm
        affine[:3, 2] = np.cross(row, column) * float(self.offsets_mm[1])
        affine[:3, 3] = np.array(self.position_mm, dtype=np.float64)
        return affine


def to_frames(volume: Volume) -> tuple[Shaped[np.ndarray, "frame row column"], FrameGrid]:
    """Turn a volume into frames.

    Returns:
        The values, and where they stand; every centre within 1e-3 mm of its own.

    Raises:
        BadInput: Axes that are not at right angles, fewer than two frames, or voxels of a
            size that is not plausible.
    """
    affine = _RAS_TO_LPS @ volume.affine
    turn = io_orientation(affine)
    affine = affine @ inv_ornt_aff(turn, volume.data.shape)
    data = apply_orientation(volume.data, turn)
    if np.linalg.det(affine[:3, :3]) < 0:  # a normal is right-handed
        affine[:3, 3] += affine[:3, 2] * (data.shape[2] - 1)
        affine[:3, 2] *= -1.0
        data = data[:, :, ::-1]
    if data.shape[2] < 2:
        raise BadInput(
            f"A dose must have at least 2 slices, got {data.shape[2]}: an RT Dose tells the "
            "distance of slices by their offsets. Give the whole dose."
        )
    _check_spacing(affine)
    grid = _written(affine, frames=data.shape[2])
    if grid_fault(Volume(data, grid.affine), Volume(data, affine), name="", like_name=""):
        raise BadInput(
            "The dose's axes must stand at right angles, and its affine is sheared or lies too "
            "far out. Resample it to an upright grid."
        )
    return np.ascontiguousarray(data.transpose(2, 1, 0)), grid


def _written(affine: Float[np.ndarray, "4 4"], *, frames: int) -> FrameGrid:
    columns_mm, rows_mm, step_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.concatenate([affine[:3, 0] / columns_mm, affine[:3, 1] / rows_mm])
    return FrameGrid(
        position_mm=_decimals(affine[:3, 3]),
        orientation=_decimals(cosines),
        spacing_mm=_decimals(np.array([rows_mm, columns_mm])),
        offsets_mm=_decimals(np.arange(frames) * step_mm),
    )


def _decimals(values: Float[np.ndarray, " n"]) -> tuple[str, ...]:
    # Adding 0 turns −0 into 0. Ten decimals: no digits of rounding.
    return tuple(format_number_as_ds(float(value)) for value in np.round(values, 10) + 0.0)


def _check_spacing(affine: Float[np.ndarray, "4 4"]) -> None:
    low, high, _ = BOUNDS["PixelSpacing"]
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if not (low <= spacing_mm.min() and spacing_mm.max() <= high):
        told = " × ".join(f"{size:g}" for size in spacing_mm)
        raise BadInput(
            f"The dose's voxels must measure {low:g} to {high:g} mm, got {told} mm. "
            "Correct its affine."
        )


EVEN_MM = 0.01
"""By how much distances of frames may differ, ours: decimals cut off, and no more."""

RT_DOSE_STORAGE = "1.2.840.10008.5.1.4.1.1.481.2"
NOT_CLINICAL = "Predicted before therapy; for research only"
"""Dose Comment of a prediction; LO holds 64 characters."""
# The patient and free text but the comment are not loaded, so that no message can show them.
_TO_LOAD = [
    *(*HEADER, "DoseUnits", "DoseType", "DoseComment", "DoseSummationType"),
    *("GridFrameOffsetVector", "DoseGridScaling", "PixelData"),
]


@dataclass(frozen=True)
class RtDose:
    """What an RT Dose object tells of its dose.

    Attributes:
        summation_type: Dose Summation Type, such as ``PLAN``.
        scaling_gy: Dose Grid Scaling, Gy per stored value.
        is_prediction: It bears this package's mark of a prediction.
    """

    summation_type: str
    scaling_gy: float
    bits: int
    frame_of_reference_uid: str
    is_prediction: bool
    sha256: str


def read_rtdose(path: Path) -> tuple[Volume, RtDose]:
    """Read a dose grid.

    Returns:
        Absorbed dose, Gy, float64, axes nearest RAS+; and what the file tells of it.

    Raises:
        BadInput: The file is damaged or no RT Dose, its dose is relative, effective or an
            error, its frames are uneven, or its pixels are damaged.
    """
    dataset, sha256 = read_object(
        path, RT_DOSE_STORAGE, "an RT Dose", to_load=_TO_LOAD, remedy="Name the RTDOSE file."
    )
    _check_quantity(dataset)
    grid = _grid(dataset)
    scaling_gy = float(_numbers(dataset, "DoseGridScaling", 1)[0])
    if scaling_gy <= 0:
        raise BadInput(
            f"{shown('DoseGridScaling')} must be above 0 Gy, got {scaling_gy:g}. Export anew."
        )
    stored = _stored(dataset, grid)
    frames = stored[grid.order].transpose(2, 1, 0).astype(np.float64)
    turn = io_orientation(grid.affine)
    data = np.ascontiguousarray(apply_orientation(frames * scaling_gy, turn))
    volume = Volume(data, grid.affine @ inv_ornt_aff(turn, grid.shape))
    return volume, RtDose(
        summation_type=_code(dataset, "DoseSummationType"),
        scaling_gy=scaling_gy,
        bits=stored.dtype.itemsize * 8,
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID"),
        is_prediction=components(dataset, "DoseComment") == [NOT_CLINICAL],
        sha256=sha256,
    )


def _check_quantity(dataset: Any) -> None:
    for tag, wanted, why in (
        ("DoseUnits", "GY", "A relative dose has no Gy"),
        ("DoseType", "PHYSICAL", "An effective dose is weighted for biology, an error is none"),
        ("SamplesPerPixel", "1", "A dose has one value a voxel"),
        ("PixelRepresentation", "0", "An absorbed dose has no sign"),
    ):
        if _code(dataset, tag) != wanted:
            raise BadInput(
                f"{shown(tag)} must be {wanted}, got {_code(dataset, tag) or 'none'}. {why}; "
                "export the absorbed dose in Gy."
            )
    if _code(dataset, "BitsAllocated") not in ("16", "32"):
        raise BadInput(
            f"{shown('BitsAllocated')} must be 16 or 32, got "
            f"{_code(dataset, 'BitsAllocated') or 'none'}."
        )


def _grid(dataset: Any) -> Grid:
    """Place each frame as if it were a slice, and find their common grid."""
    position_mm = _numbers(dataset, "ImagePositionPatient", 3)
    cosines = _numbers(dataset, "ImageOrientationPatient", 6)
    normal = np.cross(cosines[:3], cosines[3:])
    headers = []
    for distance_mm in _distances_mm(dataset, normal, z_mm=position_mm[2]):
        header = Dataset()
        for keyword in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
            if keyword in dataset:
                header[keyword] = dataset[keyword]
        header.ImagePositionPatient = [f"{x:.8f}" for x in position_mm + distance_mm * normal]
        headers.append(header)
    return find_grid(headers)


def _distances_mm(
    dataset: Any, normal: Float[np.ndarray, "3"], *, z_mm: float
) -> Float[np.ndarray, " frames"]:
    """Return the distance of each frame from the first, along the normal."""
    frames = _code(dataset, "NumberOfFrames")
    count = len(components(dataset, "GridFrameOffsetVector"))
    if count < 2 or frames != str(count):
        raise BadInput(
            f"{shown('GridFrameOffsetVector')} must tell one offset for each frame of two or more, "
            f"got {count} offsets for {frames or 'no'} frames. Export the whole dose."
        )
    offsets_mm = _numbers(dataset, "GridFrameOffsetVector", count)
    steps_mm = np.diff(offsets_mm)
    if np.abs(steps_mm - steps_mm[0]).max() > EVEN_MM:
        raise BadInput(
            f"{shown('GridFrameOffsetVector')} must rise evenly, and its steps are "
            f"{steps_mm.min():g} to {steps_mm.max():g} mm. Export the dose on a regular grid."
        )
    if offsets_mm[0] == 0.0:
        return offsets_mm
    # C.8.8.3.2 lets a transverse grid tell the frames' z instead; the first is then its own.
    if abs(offsets_mm[0] - z_mm) > EVEN_MM or abs(normal[2]) < 1.0 - 1e-6:
        raise BadInput(
            f"{shown('GridFrameOffsetVector')} must begin with 0 mm, or with the z of a transverse "
            f"grid, got {offsets_mm[0]:g} mm. Export the dose anew."
        )
    distances_mm: Float[np.ndarray, " frames"] = (offsets_mm - offsets_mm[0]) * np.sign(normal[2])
    return distances_mm


def _stored(dataset: Any, grid: Grid) -> Shaped[np.ndarray, "frame row column"]:
    stored = decoded(dataset, name="the RT Dose")
    if stored.shape != grid.shape[::-1]:
        raise BadInput(
            f"Pixel Data (7FE0,0010) must hold {grid.shape[::-1]} values, got {stored.shape}."
        )
    return stored


def _numbers(dataset: Any, keyword: str, count: int) -> Float[np.ndarray, " count"]:
    found = numbers_of(dataset, keyword, count)
    if found is None:
        raise BadInput(f"{shown(keyword)} must be {count} numbers, got 0. Export the dose anew.")
    return np.array(found)


def _code(dataset: Any, tag: str) -> str:
    """Return a short code or number, reduced to the letters that codes have."""
    return re.sub(r"[^A-Z0-9_ .+-]", "?", "\\".join(components(dataset, tag)))[:16]
