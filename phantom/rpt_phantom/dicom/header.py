"""What every object of a virtual patient says: who, which study and series, made by what.

Source: DICOM PS3.3, C.7.1 to C.7.6.1 and C.12.1.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from rpt_phantom.dicom.visit import Visit

VIRTUAL = "VIRTUAL"
COMMENT = "VIRTUAL: simulated, of no person. For research only."


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
        visit: Whose study it lies in.
        sop_class: SOP Class UID.
        modality: Such as ``PT``.
        series: Description of the series, which makes its UID.
        number: Series Number.
        instance: Instance Number, from 1.
        begin: Begin of the series.

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
