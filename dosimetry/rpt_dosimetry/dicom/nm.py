"""Read NM objects that are not trusted: frames, energy windows, what was administered, and counts.

Source: DICOM PS3.3, C.8.4.8 (NM Multi-frame): each vector holds an index from 1 for every frame.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from rpt_cohort import BadInput

from rpt_dosimetry.dicom import vendors
from rpt_dosimetry.dicom.header import ImageHeader
from rpt_dosimetry.dicom.reading import (
    Moment,
    check_bounds,
    components,
    items,
    number_of,
    object_kind,
    read_decimal,
    read_object,
    shown,
    text_of,
)
from rpt_dosimetry.dicom.series import HEADER, find_series, named
from rpt_dosimetry.dicom.slices import decoded

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
RECON_TOMO, WHOLE_BODY = "RECON TOMO", "WHOLE BODY"
COUNTS, BQ_PER_ML = vendors.COUNTS, vendors.BQ_PER_ML
REPEATED = ("PhaseVector", "RRIntervalVector", "TimeSlotVector", "TimeSliceVector")
"""What tells dynamic and gated frames apart."""


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
    remedy = "A quantitative SPECT stored as PT goes by the command activity."
    to_load = (*HEADER, "PixelData")
    read = [
        read_object(file, NM_STORAGE, "an NM object", to_load=to_load, remedy=remedy)
        for file in files
    ]
    for dataset, _ in read:
        if text_of(dataset, "Modality") != "NM":
            raise BadInput(
                f"{shown('Modality')} must be NM, with NM images, got {object_kind(dataset)}. "
                f"{remedy}"
            )
        found = image_kind(dataset)
        if found != kind:
            raise BadInput(
                f"{shown('ImageType')} must tell {kind} in its third value, and the object is "
                f"{_OTHER_KINDS.get(found, 'of a kind not known here')}. Give the series of that "
                "kind."
            )
    objects, sha256 = zip(*read, strict=True)
    return NmSeries(text_of(objects[0], "SeriesInstanceUID"), objects, sha256)


def image_kind(dataset: Any) -> str:
    """Return the third value of Image Type, in capitals; empty where it is missing."""
    values = components(dataset, "ImageType")
    return values[2].upper() if len(values) > 2 else ""


def _files_of(
    folder: Path, kind: str, wanted: str | None, warnings: list[str] | None
) -> list[Path]:
    found = [
        one
        for one in find_series(folder, warnings=warnings)
        if one.modality == "NM" and NM_STORAGE in one.sop_classes
    ]
    if wanted is not None:
        found = named(found, wanted)
    else:
        found = [one for one in found if image_kind(one.files[0].header) == kind]
    if len(found) != 1:
        told = "; ".join(str(one) for one in found[:4])
        raise BadInput(
            f"The folder must hold one NM series of {kind}, {shown('Modality')} NM, and "
            f"{len(found)} fit{': ' + told if told else ''}. Name a folder or a file with that "
            "series alone."
        )
    return [file.path for file in found[0].files]


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


_BECQUEREL_FROM = 1e5
"""The NM module gives the dose in MBq, the PET module in Bq; values from here on are Bq (ours:
100 GBq is no patient's)."""
_BOUNDS_MBQ = (1e-3, 1e6, "MBq")


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


class NmHeader(ImageHeader):
    """The header of NM objects of one series; frames and windows are those of the first."""

    @property
    def dataset(self) -> Any:
        """The first object."""
        return self.slices[0]

    def administered(self) -> Administration:
        """Read nuclide, activity and begin; what is malformed is left out with a warning.

        Source: DICOM PS3.3, C.8.4.10.1.7 (NM Isotope): Radionuclide Total Dose is in MBq.
        """
        moment = self.if_readable(lambda: self.injection)
        return Administration(
            nuclide=self.if_readable(lambda: self.coded_nuclide),
            activity_mbq=self.if_readable(self._activity_mbq),
            moment=moment,
            begin=self.if_readable(lambda: self.administration(moment)),
        )

    def _activity_mbq(self) -> float | None:
        dose, told = self.number("RadionuclideTotalDose"), shown("RadionuclideTotalDose")
        if dose is None:
            return None
        if dose >= _BECQUEREL_FROM:
            self.warnings.append(
                f"{told} is {dose:g}, too large for the MBq of NM; it was taken as Bq."
            )
            dose /= 1e6
        check_bounds(dose, "RadionuclideTotalDose", _BOUNDS_MBQ)
        return dose

    def stored_frames(self) -> Shaped[np.ndarray, "frame row column"]:
        """Decode the stored values of every frame.

        Returns:
            Integers as stored, before any scaling.

        Raises:
            BadInput: No pixels, no decoder for their compression, truncated or damaged pixels,
                colour, or values beyond Bits Stored.
        """
        values = decoded(self.dataset, name="the NM object")
        values = values[None] if values.ndim == 2 else values
        if values.ndim != 3 or len(values) != self.frame_count:
            raise BadInput(
                f"Pixel Data (7FE0,0010) must hold as many frames as {shown('NumberOfFrames')} "
                f"tells, {self.frame_count}, got shape {values.shape}. Export the object anew."
            )
        return values

    @property
    def frame_count(self) -> int:
        """Number of Frames, 1 where it is missing.

        Raises:
            BadInput: It is no whole number above 0.
        """
        text = components(self.dataset, "NumberOfFrames") or ["1"]
        if len(text) != 1 or not text[0].isdecimal() or not int(text[0]):
            raise BadInput(
                f"{shown('NumberOfFrames')} must be a whole number above 0, and it is not."
            )
        return int(text[0])

    def vector(self, keyword: str) -> list[int]:
        """Return a frame vector, an index from 1 a frame; empty where it is missing.

        Raises:
            BadInput: It does not hold one index a frame.
        """
        texts = components(self.dataset, keyword)
        if texts and (
            len(texts) != self.frame_count
            or not all(text.isdecimal() and int(text) for text in texts)
        ):
            raise BadInput(
                f"{shown(keyword)} must hold one index from 1 for each of {self.frame_count} "
                f"frames, and it holds {len(texts)} values or others. Export the object anew."
            )
        return [int(text) for text in texts]

    def refuse_repeats(self, *alone: str) -> None:
        """Refuse an object whose frames differ in time or gate, or in another vector.

        Args:
            alone: Further vectors that must tell one index only.
        """
        for keyword in (*REPEATED, *alone):
            indices = set(self.vector(keyword))
            if len(indices) > 1:
                raise BadInput(
                    f"{shown(keyword)} must tell one index for all frames, got {len(indices)}: the "
                    "object is gated, dynamic or of several windows. Export one static image."
                )

    def scaling(self, *, least: int, largest: int) -> "Scaling":
        """Find what the stored values are, from ``least`` to ``largest``.

        Returns:
            The Real World Value Mapping where it is to counts or Bq/mL, else Rescale Slope and
            Intercept, else counts as stored.

        Raises:
            BadInput: A mapping to another unit, by a table, or not of all values; a slope that is
                not above 0; or a vendor's private scaling, whose meaning is not published.
        """
        mappings = items(self.dataset, "RealWorldValueMappingSequence")
        if mappings:
            return _mapped(mappings, least, largest)
        slope = number_of(self.dataset, "RescaleSlope")
        intercept = number_of(self.dataset, "RescaleIntercept")
        if slope is not None:
            _check_slope(slope, "RescaleSlope")
            return Scaling(COUNTS, "rescale slope", slope, intercept or 0.0)
        vendors.refuse_private_scaling(self.dataset)
        return Scaling(COUNTS, "as stored", 1.0, 0.0)

    def windows(self) -> "tuple[EnergyWindow | None, ...]":
        """Read the energy windows in the order that Energy Window Vector counts them.

        Returns:
            The windows; ``None`` for one that tells no limits; empty without the sequence.

        Raises:
            BadInput: A window of several ranges, or limits that are not ascending keV.
        """
        return tuple(map(_window, items(self.dataset, "EnergyWindowInformationSequence")))


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


def _mapped(mappings: list[Any], least: int, largest: int) -> Scaling:
    sequence = shown("RealWorldValueMappingSequence")
    known = {unit.lower(): row for unit, row in vendors.MAPPED_UNITS.items()}
    for mapping in mappings:
        units = items(mapping, "MeasurementUnitsCodeSequence")
        unit = text_of(units[0], "CodeValue").lower() if len(units) == 1 else ""
        if unit in known:
            quantity, size = known[unit]
            break
    else:
        raise BadInput(
            f"{sequence} must map to {{counts}} or Bq/ml, and it does not. Export the series in "
            "counts."
        )
    slope, intercept, first, last = (
        number_of(mapping, f"RealWorldValue{name}")
        for name in ("Slope", "Intercept", "FirstValueMapped", "LastValueMapped")
    )
    if slope is None or intercept is None:
        raise BadInput(
            f"{shown('RealWorldValueSlope')} and {shown('RealWorldValueIntercept')} must be there; "
            "tables are not read."
        )
    _check_slope(slope, "RealWorldValueSlope")
    if (first is not None and least < first) or (last is not None and largest > last):
        raise BadInput(
            f"{sequence} must cover all stored values, {least} to {largest}, and it covers {first} "
            f"to {last}. Export the series in counts."
        )
    return Scaling(quantity, "real world value mapping", slope * size, intercept * size)


def _check_slope(slope: float, keyword: str) -> None:
    if not slope > 0:
        raise BadInput(f"{shown(keyword)} must be above 0, got {slope:g}. Export the series anew.")


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


def _window(item: Any) -> EnergyWindow | None:
    ranges = items(item, "EnergyWindowRangeSequence")
    if not ranges:
        return None
    if len(ranges) > 1:
        raise BadInput(
            f"{shown('EnergyWindowRangeSequence')} must hold one range a window, got "
            f"{len(ranges)}: counts of several peaks were added. Export each window by itself."
        )
    names = ("EnergyWindowLowerLimit", "EnergyWindowUpperLimit")
    limits = [components(ranges[0], name) for name in names]
    if not all(limits):
        return None
    lower_kev, upper_kev = (
        read_decimal(one[0], name) for one, name in zip(limits, names, strict=True)
    )
    if not 0 <= lower_kev < upper_kev <= LARGEST_KEV:
        raise BadInput(
            f"{shown('EnergyWindowLowerLimit')} must be below {shown('EnergyWindowUpperLimit')}, "
            f"both from 0 to {LARGEST_KEV:g} keV, got {lower_kev:g} and {upper_kev:g} keV. Correct "
            "the header."
        )
    return EnergyWindow(lower_kev, upper_kev)
