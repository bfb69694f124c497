"""Read a DICOM segmentation, and bring its segments to a volume's grid.

Binary segmentations are read; frames that hold no voxel of a segment may be left out, as most
writers do. Frames may be native, run-length encoded or deflated.

Source: DICOM PS3.3, C.8.20 (Segmentation); PS3.5, 8.2.16 (deflated frames) and Annex G (run
lengths).
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Bool, Float, Int
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import RLELossless
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.reading import (
    BOUNDS,
    DICOM_ERRORS,
    components,
    quiet,
    read_object,
    shown,
)
from rpt_dosimetry.dicom.slices import need_decoder
from rpt_dosimetry.masks.names import SIDE_CODES
from rpt_dosimetry.nifti import voxel_ml

_ASTRAY_VOXELS = 0.05
"""By how much a frame may leave the grid, ours: decimals cut off."""
_COSINES = 1e-3
_LARGEST_SLICES = 4096
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class FrameGeometry:
    """Where one frame stands, in DICOM's LPS.

    Attributes:
        position_mm: Centre of its first voxel.
        cosines: Directions of a row and of a column.
        spacing_mm: Distance of rows, then of columns.
        step_mm: Distance of neighbouring frames, as told; ``None`` where nothing tells.
    """

    position_mm: Float[np.ndarray, "3"]
    cosines: Float[np.ndarray, "2 3"]
    spacing_mm: Float[np.ndarray, "2"]
    step_mm: float | None


def segment_grid(
    frames: Sequence[FrameGeometry],
) -> tuple[Float[np.ndarray, "4 4"], Int[np.ndarray, " frames"]]:
    """Find the regular grid of frames, in any order and with gaps.

    Returns:
        Column, row, slice → position, mm, RAS+ world; and the slice of each frame.

    Raises:
        BadInput: Frames differ in orientation or spacing, nothing tells their distance, or
            they leave the grid.
    """
    first = frames[0]
    lengths = np.linalg.norm(first.cosines, axis=1)
    right = np.abs(lengths - 1.0).max() < _COSINES and abs(np.dot(*first.cosines)) < _COSINES
    if not right or any(
        not np.abs(one.cosines - first.cosines).max() <= _COSINES for one in frames
    ):
        raise BadInput(
            f"{shown('ImageOrientationPatient')} must be two unit vectors at a right angle, the "
            "same in every frame of the segmentation, and it is not. Export it anew."
        )
    if not (first.spacing_mm > 0).all() or any(
        not np.abs(one.spacing_mm - first.spacing_mm).max() <= 1e-4 for one in frames
    ):
        raise BadInput(
            f"{shown('PixelSpacing')} must be above 0 mm and the same in every frame, and it is "
            "not."
        )
    positions_mm = np.array([one.position_mm for one in frames])
    if not (
        np.abs(positions_mm) <= BOUNDS["ImagePositionPatient"][1]
    ).all():  # NaN compares as false
        raise BadInput(
            f"{shown('ImagePositionPatient')} must be within 1e5 mm in every frame, and it is not."
        )
    normal = np.cross(first.cosines[0], first.cosines[1])
    distances_mm = positions_mm @ normal
    start = int(np.argmin(distances_mm))
    step_mm = _step_mm(frames, distances_mm)
    at = (distances_mm - distances_mm[start]) / step_mm
    slices = np.rint(at).astype(np.intp)
    _check_places(positions_mm, slices, start, step_mm * normal, first)
    affine = np.eye(4)
    affine[:3, 0] = first.cosines[0] * first.spacing_mm[1]
    affine[:3, 1] = first.cosines[1] * first.spacing_mm[0]
    affine[:3, 2] = normal * step_mm
    affine[:3, 3] = positions_mm[start]
    return _LPS_TO_RAS @ affine, slices


def _step_mm(frames: Sequence[FrameGeometry], distances_mm: Float[np.ndarray, " frames"]) -> float:
    """Return the distance of frames: the smallest met, or the told one where it divides it.

    Slice Thickness is often untrue; of frames that are left out it may be all that is told.
    """
    apart_mm = np.diff(np.sort(distances_mm))
    apart_mm = apart_mm[apart_mm > 1e-3]
    told_mm = frames[0].step_mm
    if not len(apart_mm):
        if told_mm is None or not told_mm > 0:
            raise BadInput(
                "A segmentation in one plane must tell Slice Thickness (0018,0050), and it does "
                "not. Export it anew."
            )
        return told_mm
    step_mm = float(apart_mm.min())
    if told_mm is not None and 0 < told_mm < step_mm:
        ratio = step_mm / told_mm
        if abs(ratio - round(ratio)) < _ASTRAY_VOXELS:
            step_mm /= round(ratio)
    # Over the whole extent, so that the decimals of one distance do not add up.
    extent_mm = float(np.ptp(distances_mm))
    return extent_mm / round(extent_mm / step_mm)


def _check_places(
    positions_mm: Float[np.ndarray, "frames 3"],
    slices: Int[np.ndarray, " frames"],
    start: int,
    step: Float[np.ndarray, "3"],
    first: FrameGeometry,
) -> None:
    if slices.max() >= _LARGEST_SLICES:
        raise BadInput(
            f"{shown('ImagePositionPatient')} must span at most {_LARGEST_SLICES} slices. Export "
            "it anew."
        )
    astray_mm = positions_mm - positions_mm[start] - slices[:, np.newaxis] * step
    smallest_mm = min(float(np.linalg.norm(step)), *first.spacing_mm.tolist())
    worst = float(np.linalg.norm(astray_mm, axis=1).max()) / smallest_mm
    if worst > _ASTRAY_VOXELS:
        raise BadInput(
            f"{shown('ImagePositionPatient')} must place all frames of the segmentation on one "
            f"grid, and a frame leaves it by {worst:.2g} voxels. Resample the segmentation to an "
            "upright grid."
        )


SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
"""Transfer syntax Deflated Image Frame Compression."""

# Nothing that tells who the patient or the reader is.
_READ = [
    *("FrameOfReferenceUID", "SegmentationType", "SegmentSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PixelData"),
]


@dataclass(frozen=True)
class Segment:
    """One segment on the grid of its own file.

    Attributes:
        label: Segment Label, such as ``Kidney_L``; free text.
        code: SNOMED CT code of what it is; empty where it has none.
        side: ``left``, ``right`` or empty, by its modifier's code.
        mask: Its voxels, on ``affine``.
        affine: Voxel index → position, mm, RAS+ world of NIfTI.
    """

    number: int
    label: str
    code: str
    side: str
    mask: Bool[np.ndarray, "i j k"] = field(repr=False)
    affine: Float[np.ndarray, "4 4"] = field(repr=False)


def read_segments(path: Path, *, frame_of_reference_uid: str) -> list[Segment]:
    """Read the segments of a file that was made on one image.

    Args:
        path: A DICOM segmentation, binary.

    Returns:
        The segments in the order of the file, those without voxels too.

    Raises:
        BadInput: The file is damaged, no binary segmentation or of another frame of
            reference, or its frames stand on no one grid.
    """
    dataset, _ = read_object(
        path,
        SEGMENTATION_STORAGE,
        "a segmentation",
        to_load=_READ,
        remedy="Name the SEG file.",
    )
    if components(dataset, "SegmentationType") != ["BINARY"]:
        raise BadInput(
            f"{shown('SegmentationType')} must be BINARY, and it is not. Export it with a "
            "threshold."
        )
    if components(dataset, "FrameOfReferenceUID") != [frame_of_reference_uid]:
        raise BadInput(
            f"{shown('FrameOfReferenceUID')} of the segmentation must be that of the image, and it "
            "is not. Give the image that it was made on."
        )
    if str(dataset.file_meta.get("TransferSyntaxUID", "")) != DEFLATED_FRAMES:
        need_decoder(dataset, name="the segmentation")
    try:
        with quiet():
            values = _values(dataset)
            frames, numbers = _frames(dataset)
            described = [_described(item) for item in dataset.SegmentSequence]
    except DICOM_ERRORS as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            "The segmentation must be whole, each frame with its place and segment, and it is "
            "malformed or truncated. Export it anew."
        ) from error
    values = values[np.newaxis] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) != len(frames) or not described:
        raise BadInput(
            f"{shown('PerFrameFunctionalGroupsSequence')} must describe each frame, and it does "
            "not. Export it anew."
        )
    affine, slices = segment_grid(frames)
    segments = []
    for number, label, code, side in described:
        mask = np.zeros((*values.shape[:0:-1], int(slices.max()) + 1), dtype=np.bool_)
        for frame in np.flatnonzero(np.array(numbers) == number):
            mask[:, :, slices[frame]] |= values[frame].T
        segments.append(Segment(number, label, code, side, mask, affine))
    return segments


def segment_mask(segment: Segment, image: Volume, warnings: list[str]) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels of a volume whose centres lie in a segment.

    Args:
        image: The volume whose grid the mask is to have.

    Returns:
        The mask, on the axes of ``image``.
    """
    to_segment = np.linalg.inv(segment.affine) @ image.affine
    x, y, z = (np.arange(size) for size in image.data.shape)
    inside = np.ones(image.data.shape, dtype=np.bool_)
    nearest = []
    for axis, size in enumerate(segment.mask.shape):
        a, b, c, start = to_segment[axis]
        at = (a * x)[:, None, None] + (b * y)[:, None] + (c * z + start)
        # Half a millionth of a voxel, so that rounding does not decide what lies on a face.
        index = np.floor(at + 0.5 + 5e-7).astype(np.int32)
        inside &= (index >= 0) & (index < size)
        nearest.append(np.clip(index, 0, size - 1))
    mask: Bool[np.ndarray, "x y z"] = segment.mask[tuple(nearest)] & inside
    if not mask.any():
        warnings.append(
            f"Segment {segment.number} holds the centre of no voxel: its mask is empty."
        )
    elif outside := _outside(segment, image):
        warnings.append(f"{outside:.1%} of segment {segment.number} lies outside the image.")
    return mask


def segment_volume_ml(segment: Segment) -> float:
    """Return the volume of a segment's voxels on its own grid, mL."""
    return float(np.count_nonzero(segment.mask)) * voxel_ml(segment.affine)


def _outside(segment: Segment, image: Volume) -> float:
    to_image = np.linalg.inv(image.affine) @ segment.affine
    at = np.argwhere(segment.mask) @ to_image[:3, :3].T + to_image[:3, 3]
    beyond = (at < -0.5 - 1e-3) | (at > np.array(image.data.shape) - 0.5 + 1e-3)
    return float(beyond.any(axis=1).mean())


def _values(dataset: Any) -> Bool[np.ndarray, "..."]:
    """Decode the frames; those of single bits, which pydicom 3 has no decoder for, by hand."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax != DEFLATED_FRAMES and not (syntax == RLELossless and dataset.BitsAllocated == 1):
        return np.asarray(pixel_array(dataset)).astype(np.bool_)
    rows, columns, count = dataset.Rows, dataset.Columns, int(dataset.NumberOfFrames)
    whole = rows * columns
    decode = _inflated if syntax == DEFLATED_FRAMES else _runs
    frames = [
        _single_bits(decode(frame, whole + 2), whole)
        for frame in generate_frames(dataset.PixelData, number_of_frames=count)
    ]
    return np.stack(frames).reshape(count, rows, columns)


def _single_bits(content: bytes, whole: int) -> Bool[np.ndarray, " voxels"]:
    """Return a frame's voxels, packed as eight a byte or, as some encoders write, one a byte.

    Either way the content may be padded to an even number of bytes.
    """
    packed = (whole + 7) // 8
    values = np.frombuffer(content, dtype=np.uint8)
    if len(values) in (packed, packed + packed % 2):
        values = np.unpackbits(values, bitorder="little")
    elif len(values) not in (whole, whole + whole % 2):
        raise ValueError("a frame of another size")
    return values[:whole].astype(np.bool_)


def _inflated(frame: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(frame, most)
    if not inflater.eof:
        raise ValueError("a frame that does not end")
    return content


def _runs(frame: bytes, most: int) -> bytes:
    """Decode a frame of one segment of run lengths."""
    if struct.unpack("<2L", frame[:8]) != (1, 64):
        raise ValueError("a frame of several segments")
    found, at = bytearray(), 64
    while at < len(frame) - 1 and len(found) <= most:
        length = frame[at]
        if length < 128:
            found += frame[at + 1 : at + 2 + length]
            at += 2 + length
        else:
            found += frame[at + 1 : at + 2] * (257 - length if length > 128 else 0)
            at += 2 if length > 128 else 1
    return bytes(found)


def _frames(dataset: Any) -> tuple[list[FrameGeometry], list[int]]:
    """Return the place and the segment's number of each frame."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    frames, numbers = [], []
    for own in dataset.PerFrameFunctionalGroupsSequence:

        def macro(name: str, own: Any = own) -> Any:
            return (own.get(name) or shared[0].get(name) or [pydicom.Dataset()])[0]

        measures = macro("PixelMeasuresSequence")
        step_mm = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
        position = macro("PlanePositionSequence").ImagePositionPatient
        cosines = macro("PlaneOrientationSequence").ImageOrientationPatient
        frames.append(
            FrameGeometry(
                position_mm=np.array([float(value) for value in position]),
                cosines=np.array([float(value) for value in cosines]).reshape(2, 3),
                spacing_mm=np.array([float(value) for value in measures.PixelSpacing]),
                step_mm=float(step_mm) if step_mm else None,
            )
        )
        numbers.append(int(macro("SegmentIdentificationSequence").ReferencedSegmentNumber))
    return frames, numbers


def _described(item: Any) -> tuple[int, str, str, str]:
    """Return a segment's number, label, code and side."""
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [pydicom.Dataset()])[0]
    modifier = (kind.get("SegmentedPropertyTypeModifierCodeSequence") or [pydicom.Dataset()])[0]
    code = str(kind.get("CodeValue", "")) if kind.get("CodingSchemeDesignator") == "SCT" else ""
    side = SIDE_CODES.get(str(modifier.get("CodeValue", "")), "")
    return int(item.SegmentNumber), str(item.get("SegmentLabel", "") or "").strip(), code, side
