"""What every object of a virtual patient says: who, when and in which study, and the slices.

Everything lies on a fixed calendar. Nothing here asks a clock or draws by chance: the same seed
gives the same dates and UIDs.

Source: DICOM PS3.3, C.7.1 to C.7.6.1, C.12.1, C.8.9.2 (PET Isotope: activity in Bq) and C.8.4.10
(NM Isotope: in MBq); codes of PS3.16, context groups 18, 4020 and 19 to 21.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int16, Shaped, UInt16
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.radiation.nuclide import IN_HEADERS, code_of_nuclide, half_life_s
from rpt_dosimetry.rtdose.reading import FrameGrid, to_frames

FIRST_INFUSION = datetime(2000, 1, 17, 9, 0)
"""Begin of the first cycle's infusion; a Monday long before 177Lu-PSMA, so that nobody takes it
for a patient's. Ours, as all of this calendar."""
BETWEEN_CYCLES = timedelta(weeks=6)
PET_BEFORE = timedelta(days=7) - timedelta(hours=1)
"""PET injection before the infusion of its cycle."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")  # the contract's
VIRTUAL = "VIRTUAL"
COMMENT = "VIRTUAL: simulated, of no person. For research only."


@dataclass(frozen=True)
class VirtualPatient:
    """A virtual patient as a scanner's console knows one.

    Attributes:
        name: Pseudonym of the contract, such as ``P001``.
        height_cm: Body height, cm; ``None`` leaves it out.
        age_y: Age, y; ``None`` leaves it out. A date of birth is never written.
        sex: ``M`` or ``F``.
    """

    name: str
    weight_kg: float
    height_cm: float | None = None
    age_y: float | None = None
    sex: Literal["M", "F"] = "M"

    def __post_init__(self) -> None:
        """Refuse a name that no cohort folder may have, and impossible measures."""
        if _NAME.fullmatch(self.name) is None:
            raise BadInput(
                f"name must be 1 to 32 letters, digits, _ or -, got {self.name!r}. Use P001."
            )
        _check_between("weight_kg", self.weight_kg, 20, 400, "kg")
        if self.height_cm is not None:
            _check_between("height_cm", self.height_cm, 80, 250, "cm")
        if self.age_y is not None:
            _check_between("age_y", self.age_y, 0, 120, "y")


@dataclass(frozen=True)
class Visit:
    """One visit to one scanner: a study, and one frame of reference.

    Attributes:
        seed: Makes the UIDs; give another for other images.
        name: What tells the visit from the patient's others, such as ``C1/pet_ct``.
        description: Study Description after the word VIRTUAL, 56 characters at most.
    """

    patient: VirtualPatient
    seed: str
    name: str
    begin: datetime
    description: str

    def uid(self, *parts: str) -> str:
        """Return the UID of a part of the visit, the same for the same seed and words."""
        words = (self.seed, self.patient.name, self.name, *parts)
        return str(generate_uid(entropy_srcs=["\x1f".join(words)]))

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return self.uid("study")

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID of all its images."""
        return self.uid("frame of reference")


def infusion_begin(cycle: int) -> datetime:
    """Return when the infusion of a cycle begins, on the fictitious calendar."""
    if cycle < 1:
        raise BadInput(f"cycle counts from 1, got {cycle}.")
    return FIRST_INFUSION + (cycle - 1) * BETWEEN_CYCLES


def pet_injection(cycle: int) -> datetime:
    """Return when the PET tracer of a cycle is injected: on the Monday before its infusion."""
    return infusion_begin(cycle) - PET_BEFORE


def scan_begin(start: datetime, *, middle_s: float, duration_ms: int, name: str) -> datetime:
    """Return when a scan begins whose middle is told.

    Args:
        start: Begin of the administration.
        middle_s: From there to the middle of the scan, s.
        duration_ms: Of the scan, ms, as it is written.

    Raises:
        BadInput: The scan would begin before the administration.
    """
    begin_s = middle_s - duration_ms / 2000.0
    if not begin_s >= 0:
        raise BadInput(
            f"{name} must begin after the administration, and with its middle at {middle_s:g} s "
            f"and {duration_ms / 1000:g} s long it begins {-begin_s:g} s before. The time counts "
            "to the middle of the scan."
        )
    return start + timedelta(seconds=begin_s)


def whole_ms(duration_s: float, *, name: str) -> int:
    """Return a duration in the whole milliseconds that DICOM writes.

    Raises:
        BadInput: It is no whole number of milliseconds above 0.
    """
    duration_ms = round(duration_s * 1000.0) if 0 < duration_s < 86400 else 0
    if not duration_ms or abs(duration_ms - duration_s * 1000.0) > 1e-6:
        raise BadInput(
            f"{name} must be whole milliseconds above 0 and below a day, since DICOM writes it so, "
            f"got {duration_s!r} s. Round it first."
        )
    return duration_ms


def _check_between(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise BadInput(f"{name} must be {low:g} to {high:g} {unit}, got {value!r} {unit}.")


def new_object(
    visit: Visit,
    *,
    sop_class: str,
    modality: str,
    series: str,
    number: int,
    instance: int = 1,
    begin: datetime,
) -> Dataset:
    """Begin an object with what all kinds have in common.

    Args:
        modality: Such as ``PT``.
        series: Description of the series, which makes its UID.

    Returns:
        A dataset with its file meta information, without pixels.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = visit.uid(modality, series, str(instance))
    dataset.InstanceNumber = str(instance)
    dataset.ContentQualification = "RESEARCH"
    _put_patient(dataset, visit)
    _put_study(dataset, visit)
    dataset.Modality = modality
    dataset.SeriesInstanceUID = visit.uid(modality, series)
    dataset.SeriesNumber = str(number)
    dataset.SeriesDescription = f"{VIRTUAL} {series}"
    dataset.SeriesDate, dataset.SeriesTime = date(begin), clock(begin)
    dataset.OperatorsName = ""
    dataset.Manufacturer = "rpt-dosegan"
    dataset.ManufacturerModelName = "rpt-phantom"
    dataset.SoftwareVersions = version("rpt-phantom")
    return dataset


def put_frame_of_reference(dataset: Dataset, visit: Visit) -> None:
    """Add the Frame of Reference module."""
    dataset.FrameOfReferenceUID = visit.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""


def put_acquisition(dataset: Dataset, begin: datetime) -> None:
    """Add when an image was acquired, and that it is of no person."""
    dataset.AcquisitionDate, dataset.AcquisitionTime = date(begin), clock(begin)
    dataset.ContentDate, dataset.ContentTime = date(begin), clock(begin)
    dataset.AcquisitionNumber = "1"
    dataset.BodyPartExamined = "WHOLEBODY"  # else a side would have to be told
    dataset.ImageComments = COMMENT


def date(moment: datetime) -> str:
    """Write a DA value."""
    return moment.strftime("%Y%m%d")


def clock(moment: datetime) -> str:
    """Write a TM value, to the microsecond."""
    return moment.strftime("%H%M%S.%f")


def date_time(moment: datetime) -> str:
    """Write a DT value, to the microsecond."""
    return date(moment) + clock(moment)


def decimal(value: float) -> str:
    """Write a DS value, as near to a number as 16 characters come."""
    return str(format_number_as_ds(float(value)))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Make an item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def item(**values: Any) -> Dataset:
    """Make an item of a sequence from keywords and values."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def save_series(objects: Sequence[Dataset], folder: Path) -> None:
    """Write the objects of a series, numbered files in a new folder."""
    folder.mkdir(parents=True)
    for number, dataset in enumerate(objects, start=1):
        save(dataset, folder / f"{number:04d}.dcm")


def save(dataset: Dataset, path: Path) -> None:
    """Write one object; its folder must be there."""
    dataset.save_as(path, enforce_file_format=True)


def _put_patient(dataset: Dataset, visit: Visit) -> None:
    patient = visit.patient
    dataset.PatientName = f"Virtual^{patient.name}"
    dataset.PatientID = f"{VIRTUAL}-{patient.name}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = patient.sex
    dataset.PatientWeight = decimal(patient.weight_kg)
    if patient.height_cm is not None:
        dataset.PatientSize = decimal(patient.height_cm / 100.0)
    if patient.age_y is not None:
        dataset.PatientAge = f"{int(patient.age_y):03d}Y"
    dataset.PatientComments = COMMENT


def _put_study(dataset: Dataset, visit: Visit) -> None:
    dataset.StudyInstanceUID = visit.study_uid
    dataset.StudyDate, dataset.StudyTime = date(visit.begin), clock(visit.begin)
    dataset.StudyDescription = f"{VIRTUAL} {visit.description}"
    dataset.StudyID = visit.name[-16:]
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""


@dataclass(frozen=True)
class Slices:
    """The slices of a volume, along the normal of their planes.

    Attributes:
        values: Shape (slice, row, column).
        grid: Where they stand, in the decimals that are written.
    """

    values: Shaped[np.ndarray, "slice row column"]
    grid: FrameGrid

    def position_mm(self, number: int) -> list[str]:
        """Return the centre of the first voxel of a slice, LPS, as it is written.

        Args:
            number: Of the slice, from 0.
        """
        affine = self.grid.affine
        return [decimal(round(value, 10)) for value in affine[:3, 3] + number * affine[:3, 2]]


def slices_of(volume: Volume, *, name: str) -> Slices:
    """Turn a volume into slices, transverse as nearly as its axes are.

    Args:
        volume: Values and affine, any axes at right angles.

    Returns:
        The slices, every centre within 1e-3 mm of its own.

    Raises:
        BadInput: Fewer than two slices, values that are not finite, or a grid that DICOM cannot
            tell.
    """
    if min(volume.data.shape) < 2:
        raise BadInput(
            f"{name} must have 2 voxels or more along each axis, got shape {volume.data.shape}."
        )
    if not np.isfinite(volume.data).all():
        bad = int((~np.isfinite(volume.data)).sum())
        raise BadInput(
            f"{name} must be finite in every voxel, and in {bad} of {volume.data.size} it is not."
        )
    try:
        values, grid = to_frames(volume)
    except BadInput as error:  # its own message speaks of a dose
        raise BadInput(
            f"{name} must stand on a grid with axes at right angles and voxels of 0.1 to 50 mm, "
            "and it does not. Correct its affine."
        ) from error
    return Slices(values, grid)


def put_place(dataset: Dataset, slices: Slices, number: int) -> None:
    """Add the Image Plane module of one slice.

    Args:
        dataset: Single-frame image.
        slices: Of the volume.
        number: Of the slice, from 0.
    """
    dataset.ImagePositionPatient = slices.position_mm(number)
    dataset.ImageOrientationPatient = list(slices.grid.orientation)
    dataset.PixelSpacing = list(slices.grid.spacing_mm)
    dataset.SliceThickness = slices.grid.offsets_mm[1]


def put_pixels(
    dataset: Dataset,
    stored: Int16[np.ndarray, "row column"] | UInt16[np.ndarray, "... row column"],
) -> None:
    """Add 16-bit pixels, of one frame or of several."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = (
        np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes()
    )
    dataset["PixelData"].VR = "OW"


@dataclass(frozen=True)
class Administered:
    """An administration.

    Attributes:
        radiopharmaceutical: Its name, such as ``68Ga-PSMA-11``.
        nuclide: Such as ``Ga-68``.
        activity_mbq: At ``begin``, no residual subtracted, MBq.
        begin: Begin of injection or infusion.
    """

    radiopharmaceutical: str
    nuclide: str
    activity_mbq: float
    begin: datetime

    def __post_init__(self) -> None:
        """Refuse an activity that cannot be, and a nuclide that has no code here."""
        if not 0 < self.activity_mbq < 1e5:
            raise BadInput(
                f"activity_mbq must be above 0 and below 1e5 MBq, got {self.activity_mbq!r} MBq."
            )
        coded = [name for name, named in IN_HEADERS.items() if named.codes]
        if self.nuclide not in coded:
            raise BadInput(f"nuclide must be one of {', '.join(coded)}, got {self.nuclide!r}.")

    @property
    def half_life_s(self) -> float:
        """Physical half-life, s."""
        return half_life_s(self.nuclide)


def put_administered(dataset: Dataset, administered: Administered, *, activity: str) -> None:
    """Add the Radiopharmaceutical Information Sequence.

    Args:
        dataset: A PET or NM image.
        activity: Radionuclide Total Dose in the unit of the object's kind.
    """
    told = item(
        Radiopharmaceutical=administered.radiopharmaceutical,
        RadiopharmaceuticalRoute="IV",
        RadiopharmaceuticalStartTime=clock(administered.begin),
        RadiopharmaceuticalStartDateTime=date_time(administered.begin),
        RadionuclideTotalDose=activity,
        RadionuclideCodeSequence=[code(*code_of_nuclide(administered.nuclide))],
    )
    dataset.RadiopharmaceuticalInformationSequence = [told]


def put_patient_orientation(dataset: Dataset) -> None:
    """Add the NM/PET Patient Orientation module: on the back, head first."""
    supine = code("40199007", "SCT", "supine")
    recumbent = code("102538003", "SCT", "recumbent")
    recumbent.PatientOrientationModifierCodeSequence = [supine]
    dataset.PatientOrientationCodeSequence = [recumbent]
    dataset.PatientGantryRelationshipCodeSequence = [code("102540008", "SCT", "headfirst")]
