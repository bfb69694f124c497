"""The slices of one series: each once, on one regular grid, and their values when they are wanted.

DICOM's patient axes are LPS, NIfTI's world is RAS: x and y change sign.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID
from rpt_cohort import BadInput, Volume, file_sha256, provenance

from rpt_dosimetry.dicom.header import PetHeader
from rpt_dosimetry.dicom.reading import (
    BOUNDS,
    DICOM_ERRORS,
    check_bounds,
    components,
    parse_decimal,
    quiet,
    read_whole,
    shown,
    text_of,
)
from rpt_dosimetry.dicom.series import (
    HEADER,
    OVERLAY_POSITIONS,
    DicomFile,
    Progress,
    Series,
)
from rpt_dosimetry.nifti import FRAME_SHA256, VOXELS_SHA256, uid_sha256, voxel_ml, voxels_sha256

_COSINE_TOLERANCE = 1e-3
"""On length and angle of the direction cosines: some scanners write four digits."""


@dataclass(frozen=True)
class Grid:
    """Where the slices of one series stand.

    Attributes:
        order: Index of the file that holds each slice, along the normal.
        shape: Columns, rows, slices: i, j, k.
        affine: (i, j, k) → position, mm, RAS+ world.
    """

    order: Int[np.ndarray, " k"]
    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return voxel_ml(self.affine)


def repeated_positions(headers: Sequence[Any]) -> list[list[int]]:
    """Group the slices that stand at one and the same position.

    Returns:
        Lists of two or more indices into ``headers``.

    Raises:
        BadInput: A slice has no position or orientation, or they differ in orientation.
    """
    normal = np.cross(*_cosines(headers))
    distance_mm = _numbers(headers, "ImagePositionPatient", 3) @ normal
    groups: list[list[int]] = []
    last = -np.inf
    for index in np.argsort(distance_mm, kind="stable"):
        if distance_mm[index] - last < 1e-3:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
        last = distance_mm[index]
    return [group for group in groups if len(group) > 1]


def find_grid(headers: Sequence[Any]) -> Grid:
    """Find the regular grid of a series' slices.

    Returns:
        The grid; the distance of slices comes from their positions, never from a tag.

    Raises:
        BadInput: The slices are fewer than two, differ in matrix, spacing, orientation or
            frame of reference, are several frames, stand at uneven distances (a slice is
            missing), are sheared (gantry tilt), or have a position or spacing that is not
            plausible.
    """
    if len(headers) < 2:
        raise BadInput(
            f"A series must have at least 2 slices, got {len(headers)}: without a neighbour a "
            "slice has no distance."
        )
    rows, columns, spacing_mm = _plane(headers)
    cosines = _cosines(headers)
    positions_mm = _numbers(headers, "ImagePositionPatient", 3)
    distance_mm = positions_mm @ np.cross(*cosines)
    order = np.argsort(distance_mm, kind="stable")
    _check_steps(distance_mm[order])
    _check_shear(positions_mm[order], cosines)
    step_mm = float(distance_mm[order[-1]] - distance_mm[order[0]]) / (len(headers) - 1)
    low, high, _ = BOUNDS["PixelSpacing"]
    if not low <= step_mm <= high:
        raise BadInput(
            f"Slices must stand {low:g} to {high:g} mm apart, got {step_mm:g} mm. "
            f"Check {shown('ImagePositionPatient')}."
        )
    affine = np.eye(4)
    # Pixel Spacing is the distance of rows, then of columns; i runs along a row.
    affine[:3, 0] = cosines[0] * spacing_mm[1]
    affine[:3, 1] = cosines[1] * spacing_mm[0]
    affine[:3, 2] = np.cross(*cosines) * step_mm
    affine[:3, 3] = positions_mm[order[0]]
    return Grid(order, (columns, rows, len(headers)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def to_ras(data: Float[np.ndarray, "i j k"], grid: Grid) -> tuple[Volume, int, bool]:
    """Turn the axes so that they run to the right, front and head as nearly as they can.

    Returns:
        The volume, float32; the axis along which its slices stand; and whether they now
        run the other way.
    """
    orientation = io_orientation(grid.affine)
    turned = apply_orientation(data.astype(np.float32), orientation)
    affine = grid.affine @ inv_ornt_aff(orientation, grid.shape)
    axis, direction = orientation[2]
    return Volume(np.ascontiguousarray(turned), affine), int(axis), bool(direction < 0)


def _plane(headers: Sequence[Any]) -> tuple[int, int, Float[np.ndarray, "2"]]:
    for tag in ("Rows", "Columns", "FrameOfReferenceUID"):
        if len({tuple(components(header, tag)) for header in headers}) > 1:
            raise BadInput(
                f"{shown(tag)} must be the same in all {len(headers)} slices, and it differs. The "
                "series mixes images; export the transverse slices alone."
            )
    for header in headers:
        frames = components(header, "NumberOfFrames")
        if frames and frames != ["1"]:
            raise BadInput(
                f"{shown('NumberOfFrames')} must be 1 in a PET image, and it is not. Export one "
                "slice a file."
            )
    spacing_mm = _numbers(headers, "PixelSpacing", 2)
    if not (spacing_mm > 0).all() or np.abs(spacing_mm - spacing_mm[0]).max() > 1e-4:
        raise BadInput(f"{shown('PixelSpacing')} must be above 0 mm and the same in all slices.")
    size = [_numbers(headers[:1], tag, 1)[0, 0] for tag in ("Rows", "Columns")]
    if min(size) < 1:
        raise BadInput(
            f"{shown('Rows')} and {shown('Columns')} must be at least 1, got {size[0]} and "
            f"{size[1]}."
        )
    return int(size[0]), int(size[1]), spacing_mm[0]


def _cosines(headers: Sequence[Any]) -> Float[np.ndarray, "2 3"]:
    """Return the common directions of a row and of a column, orthonormal."""
    every = _numbers(headers, "ImageOrientationPatient", 6)
    if np.abs(every - every[0]).max() > _COSINE_TOLERANCE:
        raise BadInput(
            f"{shown('ImageOrientationPatient')} must be the same in all {len(headers)} slices, "
            "and it differs. The series holds a localizer or a reformatted image; export the PET "
            "slices alone."
        )
    row, column = every[0, :3], every[0, 3:]
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1.0).max() > _COSINE_TOLERANCE or abs(row @ column) > _COSINE_TOLERANCE:
        raise BadInput(
            f"{shown('ImageOrientationPatient')} must be two unit vectors at a right angle, and "
            "they are not."
        )
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _check_steps(distance_mm: Float[np.ndarray, " n"]) -> None:
    steps_mm = np.diff(distance_mm)
    step_mm = float(np.median(steps_mm))
    # A real scanner's beds join with steps of 3.19 and 3.29 mm among 3.27 mm.
    uneven = np.abs(steps_mm - step_mm) > 0.05 * step_mm + 0.02
    regular_mm = np.linspace(distance_mm[0], distance_mm[-1], len(distance_mm))
    astray_mm = float(np.abs(distance_mm - regular_mm).max())
    if uneven.any() or astray_mm > 0.1 * step_mm + 0.02:
        cause = "slices are missing" if steps_mm.max() > 1.5 * step_mm else "two series are mixed"
        raise BadInput(
            f"Slices must stand at even distances, here {step_mm:.3f} mm, and {uneven.sum()} of "
            f"{len(steps_mm)} distances differ ({steps_mm.min():.3f} to {steps_mm.max():.3f} mm): "
            f"{cause}. Copy or export the whole series."
        )


def _check_shear(positions_mm: Float[np.ndarray, "n 3"], cosines: Float[np.ndarray, "2 3"]) -> None:
    drift_mm = (positions_mm - positions_mm[0]) @ cosines.T
    extent_mm = float(np.linalg.norm(positions_mm[-1] - positions_mm[0]))
    worst_mm = float(np.abs(drift_mm).max())
    if worst_mm > 0.1 + 1e-4 * extent_mm:
        raise BadInput(
            f"Slices must lie straight above each other, and they shift by {worst_mm:.2f} mm in "
            "their plane (gantry tilt). Resample the series to an upright one first."
        )


def _numbers(headers: Sequence[Any], keyword: str, count: int) -> Float[np.ndarray, "n count"]:
    rows = []
    for header in headers:
        with suppress(ValueError):
            row = [parse_decimal(text) for text in components(header, keyword)]
            rows += [row] if len(row) == count else []
    if len(rows) < len(headers):
        raise BadInput(
            f"{shown(keyword)} must be {count} finite {'numbers' if count > 1 else 'number'} in "
            f"every slice, and in {len(headers) - len(rows)} of {len(headers)} it is not."
        )
    values = np.array(rows, dtype=np.float64)
    if keyword in BOUNDS:
        for value in (values.min(), values.max()):
            check_bounds(float(value), keyword, BOUNDS[keyword])
    return values


def decoded(dataset: Any, *, name: str) -> Shaped[np.ndarray, "..."]:
    """Decode the stored values of an object.

    Args:
        name: What an error calls the object, such as ``slice 3 of 47``.

    Returns:
        Integers as stored, before the rescale slope: rows and columns, after the frames where
        there are several.

    Raises:
        BadInput: No pixels, no decoder for their compression, truncated or damaged
            pixels, colour, or values beyond Bits Stored.
    """
    if "PixelData" not in dataset:
        raise BadInput(f"Pixel Data (7FE0,0010) must be there, and {name} has none.")
    if components(dataset, "SamplesPerPixel") != ["1"]:
        raise BadInput(f"{shown('SamplesPerPixel')} must be 1, a grey image; {name} is not one.")
    need_decoder(dataset, name=name)
    try:
        with quiet():
            # Bits beyond those stored are kept, to be looked at: they may be a part of the value.
            values = np.asarray(pixel_array(dataset, correct_unused_bits=False))
    except DICOM_ERRORS as error:
        raise BadInput(
            f"Pixel Data (7FE0,0010) must be whole, and that of {name} is truncated or damaged. "
            "Copy or export it anew."
        ) from error
    return _within_bits(values, dataset, name)


def need_decoder(dataset: Any, *, name: str) -> None:
    """Refuse an object whose pixels are compressed in a way that cannot be decoded here.

    Raises:
        BadInput: It is so, or it does not tell its transfer syntax.
    """
    with quiet():
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        if not syntax:
            raise BadInput(f"Transfer Syntax UID (0002,0010) must be there, and {name} has none.")
        try:
            available = not syntax.is_compressed or get_decoder(syntax).is_available
        except (NotImplementedError, ValueError):
            available = False
        title = syntax.name if syntax.name != str(syntax) else "one that is not known"
    if not available:
        raise BadInput(
            f"The pixels of {name} must be in a compression that can be decoded here, got {title}. "
            "Export it uncompressed."
        )


def _padding(dataset: Any) -> list[int]:
    """Return the limits of stored values that stand for "no measurement here"."""
    limits = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = dataset.get(keyword)
        if value in (None, "", b""):
            continue
        if isinstance(value, bytes):  # implicit VR does not tell US from SS
            value = int.from_bytes(value[:2], "little")
        if not isinstance(value, int):
            raise BadInput(f"{shown(keyword)} must be one whole number, and it is not.")
        signed = dataset.get("PixelRepresentation", 0) == 1
        limits.append(value - 65536 if signed and value > 32767 else value)
    return limits


def _within_bits(
    values: Shaped[np.ndarray, "..."], dataset: Any, name: str
) -> Shaped[np.ndarray, "..."]:
    """Return values of Bits Stored; what stands above them must be nothing, a sign, or overlays.

    Source: DICOM PS3.5, 8.1.1. Overlays in unused bits are retired, and older objects have them.
    """
    bits = int(text_of(dataset, "BitsStored") or 0)
    whole = values.dtype.itemsize * 8
    if values.dtype.kind not in "iu" or not 0 < bits <= whole:
        raise BadInput(
            f"Pixel values must be integers within {shown('BitsStored')}, {bits} bits, and those "
            f"of {name} are not."
        )
    if bits == whole:
        return values
    if components(dataset, "HighBit") not in ([], [str(bits - 1)]):
        raise BadInput(
            f"{shown('HighBit')} must be one less than {shown('BitsStored')}, {bits - 1}, and that "
            f"of {name} is not. Export it anew."
        )
    values = values.astype(values.dtype.newbyteorder("="))
    stored: Shaped[np.ndarray, ...] = (values << (whole - bits)) >> (whole - bits)
    told = [dataset.get(number) for number in OVERLAY_POSITIONS]
    overlays = sum({1 << int(one.value) for one in told if one is not None and one.value})
    free = (1 << (whole - bits)) - 1 & ~(overlays >> bits)
    above = values.view(f"u{values.dtype.itemsize}").astype(np.int64) >> bits & free
    if ((above != 0) & ((above != free) | (stored >= 0))).any():
        raise BadInput(
            f"Pixel values must be within {shown('BitsStored')}, {bits} bits, and those of {name} "
            "have others set above them: Bits Stored is wrong, or the pixels are damaged. Export "
            "it anew."
        )
    return stored


@dataclass(frozen=True)
class Slices:
    """The slices of a series, along the normal."""

    files: list[DicomFile]
    grid: Grid
    header: PetHeader


def in_order(series: Series, warnings: list[str]) -> Slices:
    """Take each slice of a whole series once and put them in order.

    Raises:
        BadInput: Slices are missing, are several at one position, are projections, or do
            not stand on one regular grid.
    """
    files = _without_copies(series.files, warnings)
    grid = find_grid([file.header for file in files])
    files = [files[index] for index in grid.order]
    header = PetHeader([file.header for file in files], warnings)
    _check_kind(header)
    return Slices(files, grid, header)


def read_values(
    slices: Slices, factor: Sequence[float], progress: Progress, *, padding: float = 0.0
) -> tuple[Float[np.ndarray, "i j k"], list[str]]:
    """Read the values of every slice, rescaled and multiplied by its factor.

    Args:
        factor: One a slice, in units of the result per rescaled value.
        padding: What a padded pixel becomes, before the factor.

    Returns:
        Values on the slices' grid, and the SHA-256 of each file in hex.

    Raises:
        BadInput: A file or its pixels are damaged, or the rescale slope is missing or not
            above 0.
    """
    header = slices.header
    slopes = header.numbers("RescaleSlope", "to read the voxel values")
    intercepts = header.numbers("RescaleIntercept") or [0.0] * len(header)
    if min(slopes) <= 0:
        raise BadInput(
            f"{shown('RescaleSlope')} must be above 0 in every slice, got {min(slopes):g}."
        )
    planes, hashes = [], []
    paths = [file.path for file in slices.files]
    for index, path in enumerate(progress(paths, "Reading slices")):
        name = f"slice {index + 1} of {len(paths)}"
        try:
            dataset, sha256 = read_whole(path, [*HEADER, "PixelData"])
        except DICOM_ERRORS as error:
            raise BadInput(f"Every slice must be a whole DICOM file, and {name} is not.") from error
        stored = decoded(dataset, name=name)
        if stored.ndim != 2:
            raise BadInput(f"A slice must be 2D, got {stored.ndim}D in {name}. Export one a file.")
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
            plane = stored.astype(np.float64) * slopes[index] + intercepts[index]
            if limits := _padding(dataset):
                plane[(stored >= min(limits)) & (stored <= max(limits))] = padding
            # NumPy's [row, column] is DICOM's [j, i].
            planes.append((plane * factor[index]).T)
        hashes.append(sha256)
    return np.stack(planes, axis=2), hashes


def fits_float32(data: Float[np.ndarray, "i j k"]) -> bool:
    """Tell whether every value is a finite number that a volume can store."""
    return bool((np.abs(data) <= np.finfo(np.float32).max).all())  # NaN compares as false


def _without_copies(files: Sequence[DicomFile], warnings: list[str]) -> list[DicomFile]:
    """Drop byte-identical copies of a slice; refuse several slices at one position."""
    dropped: set[int] = set()
    repeated = repeated_positions([file.header for file in files])
    for group in repeated:
        if len({_sha256(files[index].path) for index in group}) > 1:
            raise BadInput(
                f"Each position must hold one slice, and {len(repeated)} positions hold several "
                "that differ: the series has several frames or gates, or was sent twice. Give "
                "one static volume."
            )
        dropped.update(group[1:])
    if dropped:
        warnings.append(f"{len(dropped)} of {len(files)} files are copies; each was used once.")
    return [file for index, file in enumerate(files) if index not in dropped]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except BadInput as error:  # its own message would repeat the file's name
        raise BadInput("Every slice must be a readable file, and one is not.") from error


def _check_kind(header: PetHeader) -> None:
    expected = header.number("NumberOfSlices")
    if expected is not None and expected > len(header):
        raise BadInput(
            f"{shown('NumberOfSlices')} tells {expected:g} slices, and the series has "
            f"{len(header)}: some are missing. Copy or export the whole series."
        )
    kind = header.text("SeriesType").upper()
    if "REPROJECTION" in kind:
        raise BadInput(f"{shown('SeriesType')} must be IMAGE, got REPROJECTION. Give the slices.")
    if kind.startswith(("DYNAMIC", "GATED")):
        header.warnings.append(
            f"{shown('SeriesType')} is dynamic or gated; this is one frame of it."
        )
    if "01" in header.texts("LossyImageCompression"):
        header.warnings.append(
            f"{shown('LossyImageCompression')} is 01: the values were changed by lossy compression."
        )


_LIBRARIES = (
    *("rpt-cohort", "pydicom", "numpy", "nibabel"),
    *("pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg"),
)


@dataclass(frozen=True, kw_only=True)
class SeriesVolume:
    """A volume made of one series, RAS+, and what it rests on.

    Attributes:
        slice_axis: The axis of ``volume`` along which the slices stand, 0, 1 or 2.
        tags_used: Every tag asked for and found.
        slice_sha256: The files, in the order of the slices.
    """

    volume: Volume
    slice_axis: int
    tags_used: list[dict[str, Any]]
    slice_sha256: list[str]
    warnings: list[str] = field(default_factory=list)

    def told(self, series: Series, *, command: str) -> dict[str, Any]:
        """Tell the volume, for the end of ``OUT.json``.

        Slices go by their number and hash, and the series by the hash of its UID: file names, UIDs
        and dates can tell who the patient is.
        """
        return {
            "shape": list(self.volume.data.shape),
            "spacing_mm": list(self.volume.spacing_mm),
            "slice_axis": self.slice_axis,
            FRAME_SHA256: uid_sha256(series.frame_of_reference_uid),
            VOXELS_SHA256: voxels_sha256(self.volume),
            "warnings": self.warnings,
            "tags_used": self.tags_used,
            "provenance": provenance(
                package="rpt-dosimetry",
                command=command,
                parameters={"series_uid_sha256": uid_sha256(series.uid)},
                inputs={f"slice {number}": one for number, one in enumerate(self.slice_sha256, 1)},
                libraries=_LIBRARIES,
            ),
        }


def one_or_list(values: list[float]) -> float | list[float]:
    """Tell what is the same in every slice once."""
    return values[0] if min(values) == max(values) else values


def check_values(
    data: Float[np.ndarray, "i j k"], warnings: list[str], *, noun: str, unit: str, note: str = ""
) -> None:
    """Refuse values that a volume cannot hold, and tell of those below 0 and of none above.

    Args:
        noun: What a value is, such as ``concentration``.
        note: Of the values below 0.

    Raises:
        BadInput: A value is not finite or too large.
    """
    if not fits_float32(data):
        raise BadInput(
            f"Every {noun} must be a finite number, and some are not. Check Rescale Slope."
        )
    if negative := int((data < 0).sum()):
        warnings.append(
            f"{negative} voxels have a {noun} below 0, down to {data.min():.3g} {unit}{note}; they "
            "were kept."
        )
    if data.max() <= 0:
        warnings.append(f"No voxel has a {noun} above 0 {unit}: the image is empty.")
