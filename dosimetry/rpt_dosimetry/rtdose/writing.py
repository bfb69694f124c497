"""Write an absorbed dose as an RT Dose object.

There is no RT Plan in radiopharmaceutical therapy. Of the terms for Dose Summation Type,
PLAN_OVERVIEW is the one for a dose that is told by an overview in the object itself instead of
by a plan: one item, which here refers to the images and leaves label, site and prescription
empty, as their type 2 allows. That no other term does without a plan is our reading of them.

No clock and no host is in the object, and its UIDs are drawn from its content: the same dose,
reference and library versions give the same bytes, which an archive takes for the same object.

Source: DICOM PS3.3, A.18.3 (RT Dose IOD), C.8.8.3 (RT Dose), C.12.1 (SOP Common, Content
Qualification); Plan Overview as in edition 2023b, after DCMTK's generated classes.
"""

import hashlib
import io
from copy import deepcopy
from importlib.metadata import version

import numpy as np
from jaxtyping import UInt32
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag as TagNumber
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from rpt_cohort import Volume

from rpt_dosimetry.dicom.attributes import FRAME_OFFSETS, NOT_CLINICAL, RT_DOSE_STORAGE
from rpt_dosimetry.rtdose.grid import FrameGrid, to_frames
from rpt_dosimetry.rtdose.reference import Reference, check_overlap
from rpt_dosimetry.rtdose.scaling import quantise

SERIES = "Absorbed dose of radiopharmaceutical therapy"
PREDICTED_SERIES = "PREDICTED dose, FOR RESEARCH ONLY"
"""Series Description; LO holds 64 characters."""

_EMPTY_WHERE_MISSING = (  # type 2: must be there, may be empty
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("PositionReferenceIndicator", "OperatorsName", "SeriesNumber"),
)


def rtdose_bytes(dose_gy: Volume, reference: Reference, *, predicted: bool) -> bytes:
    """Encode a dose as an RT Dose object of the reference's patient, study and frame.

    Args:
        dose_gy: Absorbed dose, Gy, on a grid of its own, upright or oblique.
        reference: The images that it belongs to.
        predicted: It was predicted before therapy; series and comment then say so, and
            that it is for research only.

    Returns:
        The content of a DICOM file. A stored value times Dose Grid Scaling is within half
        of the scaling of its dose, and each centre within 1e-3 mm of its own.

    Raises:
        BadInput: The dose is negative, not finite, on a sheared grid or in one slice, or
            lies elsewhere than the reference.
    """
    frames_gy, grid = to_frames(dose_gy)
    stored, scaling_gy = quantise(frames_gy)
    check_overlap(reference, dose_gy)
    dataset = deepcopy(reference.identity)
    for name in _EMPTY_WHERE_MISSING:
        if name not in dataset:
            setattr(dataset, name, "")
    _describe(dataset, predicted=predicted)
    _place(dataset, grid)
    _store(dataset, stored, scaling_gy)
    _refer(dataset, reference)
    return _with_uids(dataset)


def _describe(dataset: Dataset, *, predicted: bool) -> None:
    dataset.SOPClassUID = RT_DOSE_STORAGE
    dataset.Modality = "RTDOSE"
    dataset.SeriesDescription = PREDICTED_SERIES if predicted else SERIES
    dataset.InstanceNumber = "1"
    dataset.Manufacturer = "rpt-dosegan"
    dataset.ManufacturerModelName = "rpt-dosimetry"
    dataset.SoftwareVersions = version("rpt-dosimetry")
    dataset.ContentQualification = "RESEARCH"  # nothing here is a medical device
    dataset.DoseUnits, dataset.DoseType = "GY", "PHYSICAL"
    dataset.DoseSummationType = "PLAN_OVERVIEW"
    if predicted:
        dataset.DoseComment = NOT_CLINICAL


def _place(dataset: Dataset, grid: FrameGrid) -> None:
    dataset.ImagePositionPatient = list(grid.position_mm)
    dataset.ImageOrientationPatient = list(grid.orientation)
    dataset.PixelSpacing = list(grid.spacing_mm)
    dataset.SliceThickness = grid.offsets_mm[1]
    dataset.GridFrameOffsetVector = list(grid.offsets_mm)
    dataset.FrameIncrementPointer = TagNumber(FRAME_OFFSETS.group, FRAME_OFFSETS.element)


def _store(
    dataset: Dataset, stored: UInt32[np.ndarray, "frame row column"], scaling_gy: str
) -> None:
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
    dataset.PixelRepresentation = 0
    dataset.DoseGridScaling = scaling_gy
    dataset.PixelData = stored.astype("<u4").tobytes()
    dataset["PixelData"].VR = "OW"


def _refer(dataset: Dataset, reference: Reference) -> None:
    """Name the images thrice: in the overview, beside it for older readers, and by series."""
    overview, series = Dataset(), Dataset()
    overview.PlanOverviewIndex = 1
    overview.RTPlanLabel, overview.TreatmentSite = "", ""
    overview.TreatmentSiteCodeSequence, overview.PrescriptionOverviewSequence = [], []
    overview.ReferencedImageSequence = [_item(*one) for one in reference.instances]
    dataset.PlanOverviewSequence = [overview]
    dataset.ReferencedImageSequence = [_item(*one) for one in reference.instances]
    series.SeriesInstanceUID = reference.series_uid
    series.ReferencedInstanceSequence = [_item(*one) for one in reference.instances]
    dataset.ReferencedSeriesSequence = [series]


def _item(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _with_uids(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SeriesInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["none yet"])
    content = hashlib.sha256(_encoded(dataset)).hexdigest()
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", content])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", content])
    return _encoded(dataset)


def _encoded(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
