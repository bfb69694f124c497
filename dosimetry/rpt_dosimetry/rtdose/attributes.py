"""The DICOM attributes that an RT Dose object rests on."""

from rpt_dosimetry.attributes import Tag

RT_DOSE_STORAGE = "1.2.840.10008.5.1.4.1.1.481.2"

DOSE_UNITS = Tag("Dose Units", 0x3004, 0x0002)
DOSE_TYPE = Tag("Dose Type", 0x3004, 0x0004)
DOSE_COMMENT = Tag("Dose Comment", 0x3004, 0x0006)
SUMMATION_TYPE = Tag("Dose Summation Type", 0x3004, 0x000A)
FRAME_OFFSETS = Tag("Grid Frame Offset Vector", 0x3004, 0x000C)
GRID_SCALING = Tag("Dose Grid Scaling", 0x3004, 0x000E)
BITS_ALLOCATED = Tag("Bits Allocated", 0x0028, 0x0100)
PIXEL_REPRESENTATION = Tag("Pixel Representation", 0x0028, 0x0103)
SOP_INSTANCE = Tag("SOP Instance UID", 0x0008, 0x0018)
PATIENT_ID = Tag("Patient ID", 0x0010, 0x0020)
PATIENT_NAME = Tag("Patient's Name", 0x0010, 0x0010)
BIRTH_DATE = Tag("Patient's Birth Date", 0x0010, 0x0030)
STUDY_UID = Tag("Study Instance UID", 0x0020, 0x000D)

NOT_CLINICAL = "Predicted before therapy; for research only"
"""Dose Comment of a prediction; LO holds 64 characters."""
