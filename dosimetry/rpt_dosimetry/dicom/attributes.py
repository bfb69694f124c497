"""The DICOM attributes that are read, and no other: of images, of NM and of RT Dose.

Source: DICOM PS3.6; of NM objects PS3.3, C.8.4; the private ones by pydicom's dictionary, which
lists them without a meaning.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tag:
    """One DICOM attribute.

    Attributes:
        element: Its element number; of a private one, that of the first block, 0x10ee.
        creator: The private creator, empty for a standard attribute.
    """

    name: str
    group: int
    element: int
    creator: str = ""
    in_radiopharmaceutical: bool = False

    @property
    def number(self) -> str:
        """Group and element, ``(0054,1001)``."""
        return f"({self.group:04X},{self.element:04X})"

    def element_in(self, block: int) -> int:
        """Return the element number of a private attribute in ``block``."""
        return (block << 8) | (self.element & 0xFF)

    def __str__(self) -> str:
        """Name and number, for a sentence."""
        return f"{self.name} {self.number}"


UNITS = Tag("Units", 0x0054, 0x1001)
SUV_TYPE = Tag("SUV Type", 0x0054, 0x1006)
DECAY_CORRECTION = Tag("Decay Correction", 0x0054, 0x1102)
CORRECTED_IMAGE = Tag("Corrected Image", 0x0028, 0x0051)
SERIES_TYPE = Tag("Series Type", 0x0054, 0x1000)
NUMBER_OF_SLICES = Tag("Number of Slices", 0x0054, 0x0081)
LOSSY = Tag("Lossy Image Compression", 0x0028, 0x2110)
WEIGHT = Tag("Patient's Weight", 0x0010, 0x1030)
HEIGHT = Tag("Patient's Size", 0x0010, 0x1020)
SEX = Tag("Patient's Sex", 0x0010, 0x0040)
SERIES_DATE = Tag("Series Date", 0x0008, 0x0021)
SERIES_TIME = Tag("Series Time", 0x0008, 0x0031)
ACQUISITION_DATE = Tag("Acquisition Date", 0x0008, 0x0022)
ACQUISITION_TIME = Tag("Acquisition Time", 0x0008, 0x0032)
TIMEZONE = Tag("Timezone Offset From UTC", 0x0008, 0x0201)
FRAME_DURATION = Tag("Actual Frame Duration", 0x0018, 0x1242)
FRAME_REFERENCE_TIME = Tag("Frame Reference Time", 0x0054, 0x1300)
DECAY_FACTOR = Tag("Decay Factor", 0x0054, 0x1321)
RESCALE_SLOPE = Tag("Rescale Slope", 0x0028, 0x1053)
RESCALE_TYPE = Tag("Rescale Type", 0x0028, 0x1054)
RESCALE_INTERCEPT = Tag("Rescale Intercept", 0x0028, 0x1052)
DOSE = Tag("Radionuclide Total Dose", 0x0018, 0x1074, in_radiopharmaceutical=True)
HALF_LIFE = Tag("Radionuclide Half Life", 0x0018, 0x1075, in_radiopharmaceutical=True)
START_TIME = Tag("Radiopharmaceutical Start Time", 0x0018, 0x1072, in_radiopharmaceutical=True)
START_DATETIME = Tag(
    "Radiopharmaceutical Start DateTime", 0x0018, 0x1078, in_radiopharmaceutical=True
)
RADIOPHARMACEUTICAL = Tag("Radiopharmaceutical", 0x0018, 0x0031, in_radiopharmaceutical=True)
RADIOPHARMACEUTICAL_INFORMATION = Tag("Radiopharmaceutical Information Sequence", 0x0054, 0x0016)
RADIONUCLIDE_CODE = Tag("Radionuclide Code Sequence", 0x0054, 0x0300)
PHARMACEUTICAL_CODE = Tag("Radiopharmaceutical Code Sequence", 0x0054, 0x0304)
CODE_VALUE = Tag("Code Value", 0x0008, 0x0100)
CODE_MEANING = Tag("Code Meaning", 0x0008, 0x0104)
GE_SCAN_DATETIME = Tag("GE scan date and time", 0x0009, 0x100D, creator="GEMS_PETD_01")
PHILIPS_SUV_FACTOR = Tag(
    "Philips SUV Scale Factor", 0x7053, 0x1000, creator="Philips PET Private Group"
)
PHILIPS_ACTIVITY_FACTOR = Tag(
    "Philips Activity Concentration Scale Factor",
    0x7053,
    0x1009,
    creator="Philips PET Private Group",
)

# Geometry and pixels; these are read as pydicom gives them.
SOP_CLASS = Tag("SOP Class UID", 0x0008, 0x0016)
MODALITY = Tag("Modality", 0x0008, 0x0060)
SERIES_UID = Tag("Series Instance UID", 0x0020, 0x000E)
FRAME_OF_REFERENCE = Tag("Frame of Reference UID", 0x0020, 0x0052)
POSITION = Tag("Image Position (Patient)", 0x0020, 0x0032)
ORIENTATION = Tag("Image Orientation (Patient)", 0x0020, 0x0037)
PIXEL_SPACING = Tag("Pixel Spacing", 0x0028, 0x0030)
ROWS = Tag("Rows", 0x0028, 0x0010)
COLUMNS = Tag("Columns", 0x0028, 0x0011)
NUMBER_OF_FRAMES = Tag("Number of Frames", 0x0028, 0x0008)
SAMPLES_PER_PIXEL = Tag("Samples per Pixel", 0x0028, 0x0002)
BITS_STORED = Tag("Bits Stored", 0x0028, 0x0101)
HIGH_BIT = Tag("High Bit", 0x0028, 0x0102)
PADDING = Tag("Pixel Padding Value", 0x0028, 0x0120)
PADDING_LIMIT = Tag("Pixel Padding Range Limit", 0x0028, 0x0121)

CLOCKS = frozenset(
    {
        SERIES_DATE,
        SERIES_TIME,
        ACQUISITION_DATE,
        ACQUISITION_TIME,
        START_TIME,
        START_DATETIME,
        GE_SCAN_DATETIME,
    }
)
NUMBERS = frozenset(
    {
        NUMBER_OF_SLICES,
        WEIGHT,
        HEIGHT,
        DOSE,
        HALF_LIFE,
        FRAME_DURATION,
        FRAME_REFERENCE_TIME,
        DECAY_FACTOR,
        RESCALE_SLOPE,
        RESCALE_INTERCEPT,
        PHILIPS_SUV_FACTOR,
        PHILIPS_ACTIVITY_FACTOR,
    }
)

PRIVATE_BLOCKS = range(0x10, 0x20)
"""Where a private creator may stand; vendors use the first few only."""

OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_BIT = 0x0102
"""Element of Overlay Bit Position in each of the groups."""

_DECODING = (
    (0x0028, 0x0004),  # Photometric Interpretation
    (0x0028, 0x0006),  # Planar Configuration
    (0x0028, 0x0100),  # Bits Allocated
    (0x0028, 0x0103),  # Pixel Representation
    *((group, OVERLAY_BIT) for group in OVERLAY_GROUPS),
)

_IMAGE_TAGS = tuple(tag for tag in globals().values() if isinstance(tag, Tag))
"""What is above; nothing here tells who the patient is."""

# NM objects.
IMAGE_TYPE = Tag("Image Type", 0x0008, 0x0008)
SPACING_BETWEEN_SLICES = Tag("Spacing Between Slices", 0x0018, 0x0088)
SCAN_ARC = Tag("Scan Arc", 0x0018, 0x1143)
ANGULAR_STEP = Tag("Angular Step", 0x0018, 0x1144)
SCAN_VELOCITY = Tag("Scan Velocity", 0x0018, 0x1300)
REAL_WORLD_VALUE_MAPPING = Tag("Real World Value Mapping Sequence", 0x0040, 0x9096)
MEASUREMENT_UNITS_CODE = Tag("Measurement Units Code Sequence", 0x0040, 0x08EA)
MAPPED_LAST = Tag("Real World Value Last Value Mapped", 0x0040, 0x9211)
MAPPED_FIRST = Tag("Real World Value First Value Mapped", 0x0040, 0x9216)
MAPPED_INTERCEPT = Tag("Real World Value Intercept", 0x0040, 0x9224)
MAPPED_SLOPE = Tag("Real World Value Slope", 0x0040, 0x9225)
ENERGY_WINDOW_VECTOR = Tag("Energy Window Vector", 0x0054, 0x0010)
ENERGY_WINDOW_INFORMATION = Tag("Energy Window Information Sequence", 0x0054, 0x0012)
ENERGY_WINDOW_RANGE = Tag("Energy Window Range Sequence", 0x0054, 0x0013)
ENERGY_LOWER = Tag("Energy Window Lower Limit", 0x0054, 0x0014)
ENERGY_UPPER = Tag("Energy Window Upper Limit", 0x0054, 0x0015)
DETECTOR_VECTOR = Tag("Detector Vector", 0x0054, 0x0020)
DETECTOR_INFORMATION = Tag("Detector Information Sequence", 0x0054, 0x0022)
PHASE_VECTOR = Tag("Phase Vector", 0x0054, 0x0030)
ROTATION_VECTOR = Tag("Rotation Vector", 0x0054, 0x0050)
ROTATION_INFORMATION = Tag("Rotation Information Sequence", 0x0054, 0x0052)
FRAMES_IN_ROTATION = Tag("Number of Frames in Rotation", 0x0054, 0x0053)
RR_INTERVAL_VECTOR = Tag("R-R Interval Vector", 0x0054, 0x0060)
TIME_SLOT_VECTOR = Tag("Time Slot Vector", 0x0054, 0x0070)
SLICE_VECTOR = Tag("Slice Vector", 0x0054, 0x0080)
TIME_SLICE_VECTOR = Tag("Time Slice Vector", 0x0054, 0x0100)
VIEW_CODE = Tag("View Code Sequence", 0x0054, 0x0220)

GE_PIXEL_SCALE = Tag("GE Pixel Scale", 0x0011, 0x103B, creator="GEMS_GENIE_1")
GE_PIXEL_OFFSET = Tag("GE Pixel Offset", 0x0011, 0x103C, creator="GEMS_GENIE_1")
SIEMENS_PIXEL_SCALE = Tag("Siemens Pixel scale factor", 0x0033, 0x1038, creator="SIEMENS MED NM")
SIEMENS_INTERCEPT = Tag("Siemens Rescale intercept", 0x0057, 0x1006, creator="SIEMENS MED NM")
SIEMENS_SLOPE = Tag("Siemens Rescale Slope", 0x0057, 0x1007, creator="SIEMENS MED NM")

REPEATED_VECTORS = (PHASE_VECTOR, RR_INTERVAL_VECTOR, TIME_SLOT_VECTOR, TIME_SLICE_VECTOR)
"""What tells dynamic and gated frames apart."""
PRIVATE = (
    *((GE_PIXEL_SCALE, 1.0), (GE_PIXEL_OFFSET, 0.0), (SIEMENS_PIXEL_SCALE, 1.0)),
    *((SIEMENS_INTERCEPT, 0.0), (SIEMENS_SLOPE, 1.0)),
    *((PHILIPS_SUV_FACTOR, 0.0), (PHILIPS_ACTIVITY_FACTOR, 0.0)),
)
"""Private scaling, and the value at which it changes nothing."""

PIXEL_DATA = 0x7FE00010

_NM_TAGS = tuple(tag for tag in globals().values() if isinstance(tag, Tag))
"""What is above; nothing here tells who the patient is."""

# RT Dose, and the series that it joins: these do tell who the patient is.
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


def header_numbers() -> list[int]:
    """Return the number of every attribute of an image to load, and of no other."""
    return _numbers(_IMAGE_TAGS)


def nm_numbers() -> list[int]:
    """Return the number of every attribute of an NM object to load, and of no other."""
    return _numbers(_NM_TAGS)


def _numbers(tags: tuple[Tag, ...]) -> list[int]:
    numbers = {(tag.group, tag.element) for tag in tags} | set(_DECODING)
    for tag in tags:
        if tag.creator:
            numbers |= {(tag.group, block) for block in PRIVATE_BLOCKS}
            numbers |= {(tag.group, tag.element_in(block)) for block in PRIVATE_BLOCKS}
    return sorted((group << 16) | element for group, element in numbers)
