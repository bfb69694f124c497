"""A writer of synthetic structure sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

FRAME = "1.2.826.0.1.3680043.10.999.9"
PATIENT = "Doe^Jane^Quarantine"


def structure_set(rois: dict[str, Sequence[np.ndarray]], **change: Any) -> Dataset:
    """Make an RTSTRUCT of ROIs with closed planar contours, points in mm, LPS."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, f"{FRAME}.1"
    dataset.Modality = "RTSTRUCT"
    dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
    dataset.OperatorsName = PATIENT
    dataset.StructureSetROISequence = [roi(number, name) for number, name in enumerate(rois, 1)]
    dataset.ROIContourSequence = [
        roi_contour(number, contours) for number, contours in enumerate(rois.values(), 1)
    ]
    for name, value in change.items():
        setattr(dataset, name, value)
    return dataset


def roi(number: int, name: str) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = str(number), name
    item.ReferencedFrameOfReferenceUID = FRAME
    return item


def roi_contour(number: int, contours: Sequence[np.ndarray]) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = str(number)
    item.ContourSequence = [contour(points) for points in contours]
    return item


def contour(points_mm: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = str(len(points_mm))
    item.ContourData = [f"{value:.3f}" for value in np.ravel(points_mm)]
    return item


def save(dataset: Dataset, folder: Path) -> Path:
    path = folder / "Doe_Jane_4711.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path
