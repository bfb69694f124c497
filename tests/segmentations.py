"""A writer of synthetic segmentations."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage
from scipy.spatial.transform import Rotation

FRAME = "1.2.826.0.1.3680043.10.999.9"
PATIENT = "Doe^Jane^Quarantine"


def items(**values):
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def code(value, meaning):
    return items(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)


def described(number, label, side=None):
    kind = code("64033007", "Kidney")
    if side:
        kind[0].SegmentedPropertyTypeModifierCodeSequence = code(side, "side")
    return items(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=kind)[
        0
    ]


def segmentation(masks, affine, *, step_mm=None, drop_empty=True, **change):
    """Make a SEG of masks [i, j, k] on an LPS affine, their frames in falling order."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SegmentationStorage, "1.2.3"
    dataset.Modality, dataset.SegmentationType = "SEG", "BINARY"
    dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
    dataset.FrameOfReferenceUID = FRAME
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.concatenate([affine[:3, 0] / spacing_mm[0], affine[:3, 1] / spacing_mm[1]])
    dataset.SharedFunctionalGroupsSequence = items(
        PlaneOrientationSequence=items(ImageOrientationPatient=[f"{x:.10f}" for x in cosines]),
        PixelMeasuresSequence=items(
            PixelSpacing=[f"{spacing_mm[1]:g}", f"{spacing_mm[0]:g}"],
            SliceThickness=f"{step_mm or spacing_mm[2]:g}",
        ),
    )
    dataset.SegmentSequence = [
        described(1, "Kidney_L", "7771000"),
        described(2, "Doe's kidney"),
    ][: len(masks)]
    frames, own = [], []
    for number, mask in enumerate(masks, start=1):
        for k in reversed(range(mask.shape[2])):
            if drop_empty and not mask[:, :, k].any():
                continue
            position = affine[:3, 2] * k + affine[:3, 3]
            own += items(
                PlanePositionSequence=items(ImagePositionPatient=[f"{x:.6f}" for x in position]),
                SegmentIdentificationSequence=items(ReferencedSegmentNumber=number),
            )
            frames.append(mask[:, :, k].T)
    dataset.PerFrameFunctionalGroupsSequence = own
    dataset.NumberOfFrames = len(frames)
    dataset.Columns, dataset.Rows = masks[0].shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.PixelData = pack_bits(np.array(frames, dtype=np.uint8))
    for name, value in change.items():
        setattr(dataset, name, value)
    return dataset


def lps_affine(angles_deg=(0.0, 0.0, 0.0), spacing_mm=(2.0, 3.0, 4.0)):
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.diag(spacing_mm)
    affine[:3, 3] = (-30.0, 12.0, 400.0)
    return affine
