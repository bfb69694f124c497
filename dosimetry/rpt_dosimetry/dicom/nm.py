"""Read NM objects that are not trusted: frames, energy windows, what was administered, and counts.

The NM module has no rescale slope, and vendors write one nevertheless; Hermes writes a Real
World Value Mapping to ``{counts}`` (UCL/STIR issue 1123). Both map the stored value itself
(DICOM PS3.3, C.7.6.16.2.11), so the mapping goes first and is never applied on top.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame): each vector holds an index from 1 for every frame.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Shaped
from rpt_cohort import BadInput

from rpt_dosimetry.dicom import attributes as dcm
from rpt_dosimetry.dicom.header import Tags, administration_moment, if_readable, injection_time
from rpt_dosimetry.dicom.reading import (
    DICOM_ERRORS,
    Bounds,
    Moment,
    check_bounds,
    components,
    is_dicom,
    items,
    number_of,
    object_kind,
    quiet,
    read_decimal,
)
from rpt_dosimetry.dicom.series import Series, find_series
from rpt_dosimetry.dicom.slices import decoded
from rpt_dosimetry.dicom.tracer import coded_nuclide

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
RECON_TOMO, WHOLE_BODY = "RECON TOMO", "WHOLE BODY"

_HEADER = dcm.nm_numbers()


@dataclass(frozen=True)
class NmSeries:
    """The NM objects of one series.

    Attributes:
        objects: pydicom datasets with their pixels; attributes that tell who the patient
            is were never loaded.
    """

    uid: str
    objects: tuple[Any, ...]
    sha256: tuple[str, ...]

    @property
    def tags(self) -> Tags:
        """The headers, asked tag by tag."""
        return Tags(self.objects)


def read_nm(
    path: Path, *, kind: str, wanted: str | None = None, warnings: list[str] | None = None
) -> NmSeries:
    """Read the NM series of one kind.

    Args:
        path: One file, or a folder; its subfolders are searched.
        kind: The third value of Image Type, ``RECON TOMO`` or ``WHOLE BODY``.
        wanted: A Series Instance UID or the unique beginning of one; ``None`` takes the only
            series of that kind.

    Raises:
        BadInput: Nothing there, a damaged file, none or several series of that kind, or an
            object of another modality or kind.
    """
    if not path.exists():
        raise BadInput(
            "The path must be a folder of DICOM files or an NM file, and there is no such file or "
            "folder. Check it."
        )
    files = [path] if path.is_file() else _files_of(path, kind, wanted, warnings)
    read = [_whole(file, f"object {index} of {len(files)}") for index, file in enumerate(files, 1)]
    objects = tuple(dataset for dataset, _ in read)
    for dataset in objects:
        _check_kind(dataset, kind)
    uid = "".join(components(objects[0], dcm.SERIES_UID))
    return NmSeries(uid, objects, tuple(digest for _, digest in read))


def image_kind(dataset: Any) -> str:
    """Return the third value of Image Type, in capitals; empty where it is missing."""
    values = components(dataset, dcm.IMAGE_TYPE)
    return values[2].upper() if len(values) > 2 else ""


def _files_of(
    folder: Path, kind: str, wanted: str | None, warnings: list[str] | None
) -> list[Path]:
    found = [one for one in find_series(folder, warnings=warnings) if _is_nm(one)]
    if wanted is not None:
        found = [one for one in found if wanted and one.uid.startswith(wanted)]
        found = [one for one in found if one.uid == wanted] or found
    else:
        found = [one for one in found if _kind_of(one) == kind]
    if len(found) != 1:
        told = "; ".join(str(one) for one in found[:4])
        raise BadInput(
            f"The folder must hold one NM series of {kind}, {dcm.MODALITY} NM, and {len(found)} fit"
            f"{': ' + told if told else ''}. Name a folder or a file with that series alone."
        )
    return [file.path for file in found[0].files]


def _is_nm(series: Series) -> bool:
    return series.modality == "NM" and NM_STORAGE in series.sop_classes


def _kind_of(series: Series) -> str:
    try:
        with quiet():
            header = pydicom.dcmread(
                series.files[0].path, stop_before_pixels=True, specific_tags=_HEADER
            )
    except DICOM_ERRORS as error:
        raise BadInput("Every NM object must be a whole DICOM file, and one is not.") from error
    return image_kind(header)


def _whole(path: Path, name: str) -> tuple[Any, str]:
    try:
        if not is_dicom(path):
            raise ValueError("no mark of DICOM")
        content = path.read_bytes()
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=[*_HEADER, dcm.PIXEL_DATA])
        if not components(dataset, dcm.MODALITY) and "PixelData" not in dataset:
            raise ValueError("cut off in the header, which pydicom passes over")
    except DICOM_ERRORS as error:
        raise BadInput(
            f"An NM object must be a whole DICOM file, and {name} is not. Copy or export it anew."
        ) from error
    return dataset, hashlib.sha256(content).hexdigest()


_OTHER_KINDS: dict[str, str] = {
    "TOMO": "projections, not yet reconstructed",
    "GATED TOMO": "gated projections",
    "RECON GATED TOMO": "gated slices",
    "DYNAMIC": "a dynamic study",
    "GATED": "a gated study",
    "STATIC": "a static view of a part of the body",
    RECON_TOMO: "reconstructed slices",
    WHOLE_BODY: "whole-body views",
}


def _check_kind(dataset: Any, kind: str) -> None:
    modality = "".join(components(dataset, dcm.MODALITY))
    if modality != "NM" or "".join(components(dataset, dcm.SOP_CLASS)) != NM_STORAGE:
        raise BadInput(
            f"{dcm.MODALITY} must be NM, with NM images, got {object_kind(dataset)}. A "
            "quantitative SPECT stored as PT goes by the command activity."
        )
    found = image_kind(dataset)
    if found != kind:
        what = _OTHER_KINDS.get(found, "of a kind not known here")
        raise BadInput(
            f"{dcm.IMAGE_TYPE} must tell {kind} in its third value, and the object is {what}. Give "
            "the series of that kind."
        )


def one_object(series: NmSeries) -> Any:
    """Return the only object of a series."""
    if len(series.objects) != 1:
        raise BadInput(
            f"The series must hold one NM object, got {len(series.objects)}. Name the file of "
            "the one to read."
        )
    return series.objects[0]


_BECQUEREL_FROM = 1e5
"""The NM module gives the dose in MBq, the PET module in Bq; values from here on are Bq (ours:
100 GBq is no patient's)."""
_BOUNDS_MBQ = Bounds(1e-3, 1e6, "MBq")


@dataclass(frozen=True)
class Administration:
    """What was administered.

    Attributes:
        nuclide: The coded one, such as ``Lu-177``; ``None`` where nothing known is coded.
        activity_mbq: As told, no residual subtracted, MBq; ``None`` where not told.
        moment: Its begin, on the series' clock; ``None`` where not told.
        begin: The same, with the offset of that clock.
    """

    nuclide: str | None
    activity_mbq: float | None
    moment: datetime | None
    begin: Moment | None


def read_administration(tags: Tags, warnings: list[str]) -> Administration:
    """Read nuclide, activity and begin; what is malformed is left out with a warning.

    Source: DICOM PS3.3, C.8.4.10.1.7 (NM Isotope): Radionuclide Total Dose is in MBq.
    """
    moment = if_readable(lambda: injection_time(tags, warnings), warnings)
    return Administration(
        nuclide=if_readable(lambda: coded_nuclide(tags), warnings),
        activity_mbq=if_readable(lambda: _activity_mbq(tags, warnings), warnings),
        moment=moment,
        begin=if_readable(lambda: administration_moment(tags, moment), warnings),
    )


def _activity_mbq(tags: Tags, warnings: list[str]) -> float | None:
    dose = tags.number(dcm.DOSE)
    if dose is None:
        return None
    if dose >= _BECQUEREL_FROM:
        warnings.append(f"{dcm.DOSE} is {dose:g}, too large for the MBq of NM; it was taken as Bq.")
        dose /= 1e6
    check_bounds(dose, dcm.DOSE, _BOUNDS_MBQ)
    return dose


def stored_frames(dataset: Any) -> Shaped[np.ndarray, "frame row column"]:
    """Decode the stored values of every frame.

    Returns:
        Integers as stored, before any scaling.

    Raises:
        BadInput: No pixels, no decoder for their compression, truncated or damaged pixels,
            colour, or values beyond Bits Stored.
    """
    values = decoded(dataset, name="the NM object")
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) != frame_count(dataset):
        raise BadInput(
            f"Pixel Data (7FE0,0010) must hold as many frames as {dcm.NUMBER_OF_FRAMES} tells, "
            f"{frame_count(dataset)}, got shape {values.shape}. Export the object anew."
        )
    return values


def frame_count(dataset: Any) -> int:
    """Return Number of Frames, 1 where it is missing.

    Raises:
        BadInput: It is no whole number above 0.
    """
    text = components(dataset, dcm.NUMBER_OF_FRAMES) or ["1"]
    if len(text) != 1 or not text[0].isdecimal() or not int(text[0]):
        raise BadInput(f"{dcm.NUMBER_OF_FRAMES} must be a whole number above 0, and it is not.")
    return int(text[0])


def vector(dataset: Any, tag: dcm.Tag) -> list[int] | None:
    """Return a frame vector, an index from 1 a frame; ``None`` where it is missing.

    Raises:
        BadInput: It does not hold one index a frame.
    """
    texts = components(dataset, tag)
    if not texts:
        return None
    count = frame_count(dataset)
    if len(texts) != count or not all(text.isdecimal() and int(text) for text in texts):
        raise BadInput(
            f"{tag} must hold one index from 1 for each of {count} frames, and it holds "
            f"{len(texts)} values or others. Export the object anew."
        )
    return [int(text) for text in texts]


def refuse_repeats(dataset: Any, *, alone: Sequence[dcm.Tag] = ()) -> None:
    """Refuse an object whose frames differ in time or gate, or in another vector.

    Args:
        alone: Further vectors that must tell one index only.
    """
    for tag in (*dcm.REPEATED_VECTORS, *alone):
        indices = set(vector(dataset, tag) or [])
        if len(indices) > 1:
            raise BadInput(
                f"{tag} must tell one index for all frames, got {len(indices)}: the object is "
                "gated, dynamic or of several windows. Export one static image."
            )


COUNTS, BQ_PER_ML = "counts", "Bq/mL"

_UNITS = {"{counts}": (COUNTS, 1.0), "Bq/ml": (BQ_PER_ML, 1.0), "kBq/ml": (BQ_PER_ML, 1000.0)}
"""UCUM code, capitals aside → quantity, and what one of it is."""


@dataclass(frozen=True)
class Scaling:
    """What makes a quantity of a stored value.

    Attributes:
        quantity: ``counts`` or ``Bq/mL``.
        slope: The quantity per stored value.
        intercept: The quantity at stored value 0.
    """

    quantity: str
    branch: str
    slope: float
    intercept: float


def find_scaling(dataset: Any, *, least: int, largest: int) -> Scaling:
    """Find what the stored values of an NM object are.

    Returns:
        The Real World Value Mapping where it is to counts or Bq/mL, else Rescale Slope and
        Intercept, else counts as stored.

    Raises:
        BadInput: A mapping to another unit, by a table, or not of all values; a slope that is
            not above 0; or a vendor's private scaling, whose meaning is not published.
    """
    mappings = items(dataset, dcm.REAL_WORLD_VALUE_MAPPING)
    if mappings:
        return _mapped(mappings, least, largest)
    slope, intercept = (
        number_of(dataset, dcm.RESCALE_SLOPE),
        number_of(dataset, dcm.RESCALE_INTERCEPT),
    )
    if slope is not None:
        _check_slope(slope, dcm.RESCALE_SLOPE)
        return Scaling(COUNTS, "rescale slope", slope, intercept or 0.0)
    _refuse_private(dataset)
    return Scaling(COUNTS, "as stored", 1.0, 0.0)


def _mapped(mappings: list[Any], least: int, largest: int) -> Scaling:
    for mapping in mappings:
        units = [
            "".join(components(code, dcm.CODE_VALUE)).lower()
            for code in items(mapping, dcm.MEASUREMENT_UNITS_CODE)
        ]
        known = [_UNITS[name] for name in _UNITS if [name.lower()] == units]
        if known:
            quantity, size = known[0]
            break
    else:
        raise BadInput(
            f"{dcm.REAL_WORLD_VALUE_MAPPING} must map to {{counts}} or Bq/ml, and it does not. "
            "Export the series in counts."
        )
    slope, intercept = (
        number_of(mapping, dcm.MAPPED_SLOPE),
        number_of(mapping, dcm.MAPPED_INTERCEPT),
    )
    first, last = number_of(mapping, dcm.MAPPED_FIRST), number_of(mapping, dcm.MAPPED_LAST)
    if slope is None or intercept is None:
        raise BadInput(
            f"{dcm.MAPPED_SLOPE} and {dcm.MAPPED_INTERCEPT} must be there; tables are not read."
        )
    _check_slope(slope, dcm.MAPPED_SLOPE)
    if (first is not None and least < first) or (last is not None and largest > last):
        raise BadInput(
            f"{dcm.REAL_WORLD_VALUE_MAPPING} must cover all stored values, {least} to {largest}, "
            f"and it covers {first} to {last}. Export the series in counts."
        )
    return Scaling(quantity, "real world value mapping", slope * size, intercept * size)


def _refuse_private(dataset: Any) -> None:
    for tag, neutral in dcm.PRIVATE:
        value = number_of(dataset, tag)
        if value is not None and value != neutral:
            raise BadInput(
                f"{tag} must be {neutral:g} where {dcm.RESCALE_SLOPE} is missing, got {value:g}: "
                "what this private scaling does to the counts is not published. Export the series "
                "with a rescale slope."
            )


def _check_slope(slope: float, tag: dcm.Tag) -> None:
    if not slope > 0:
        raise BadInput(f"{tag} must be above 0, got {slope:g}. Export the series anew.")


LARGEST_KEV = 2000.0


@dataclass(frozen=True)
class EnergyWindow:
    """One energy window."""

    lower_kev: float
    upper_kev: float

    @property
    def width_kev(self) -> float:
        """Width, keV."""
        return self.upper_kev - self.lower_kev

    def holds(self, energy_kev: float) -> bool:
        """Tell whether a photon energy lies in the window."""
        return self.lower_kev <= energy_kev <= self.upper_kev

    def __str__(self) -> str:
        """Limits, for a sentence."""
        return f"{self.lower_kev:g}–{self.upper_kev:g} keV"


def energy_windows(dataset: Any) -> tuple[EnergyWindow | None, ...]:
    """Read the energy windows in the order that Energy Window Vector counts them.

    Returns:
        The windows; ``None`` for one that tells no limits; empty without the sequence.

    Raises:
        BadInput: A window of several ranges, or limits that are not ascending keV.
    """
    return tuple(_window(item) for item in items(dataset, dcm.ENERGY_WINDOW_INFORMATION))


def _window(item: Any) -> EnergyWindow | None:
    ranges = items(item, dcm.ENERGY_WINDOW_RANGE)
    if not ranges:
        return None
    if len(ranges) > 1:
        raise BadInput(
            f"{dcm.ENERGY_WINDOW_RANGE} must hold one range a window, got {len(ranges)}: counts of "
            "several peaks were added. Export each window by itself."
        )
    limits = [components(ranges[0], tag) for tag in (dcm.ENERGY_LOWER, dcm.ENERGY_UPPER)]
    if not all(limits):
        return None
    lower_kev = read_decimal(limits[0][0], dcm.ENERGY_LOWER)
    upper_kev = read_decimal(limits[1][0], dcm.ENERGY_UPPER)
    if not 0 <= lower_kev < upper_kev <= LARGEST_KEV:
        raise BadInput(
            f"{dcm.ENERGY_LOWER} must be below {dcm.ENERGY_UPPER}, both from 0 to {LARGEST_KEV:g} "
            f"keV, got {lower_kev:g} and {upper_kev:g} keV. Correct the header."
        )
    return EnergyWindow(lower_kev, upper_kev)
