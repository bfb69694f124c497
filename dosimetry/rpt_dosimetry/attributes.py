"""The DICOM attributes that a conversion to SUV may rest on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tag:
    """One DICOM attribute.

    Attributes:
        name: The dictionary's name of it.
        group: Its group number.
        element: Its element number; of a private one, that of the first block, 0x10ee.
        creator: The private creator, empty for a standard attribute.
        in_radiopharmaceutical: It stands in the Radiopharmaceutical Information Sequence.
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


def header_numbers() -> list[int]:
    """Return the number of every attribute to load, and of no other."""
    tags = [tag for tag in globals().values() if isinstance(tag, Tag)]
    numbers = {(tag.group, tag.element) for tag in tags} | set(_DECODING)
    for tag in tags:
        if tag.creator:
            numbers |= {(tag.group, block) for block in PRIVATE_BLOCKS}
            numbers |= {(tag.group, tag.element_in(block)) for block in PRIVATE_BLOCKS}
    return sorted((group << 16) | element for group, element in numbers)
