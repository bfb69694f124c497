"""The DICOM attributes of NM objects, beside those of every image.

Source: DICOM PS3.3, C.8.4 (Nuclear Medicine Modules); the private ones by pydicom's
dictionary, which lists them without a meaning.
"""

from rpt_dosimetry.attributes import (
    PHILIPS_ACTIVITY_FACTOR,
    PHILIPS_SUV_FACTOR,
    PRIVATE_BLOCKS,
    Tag,
    header_numbers,
)

IMAGE_TYPE = Tag("Image Type", 0x0008, 0x0008)
MANUFACTURER = Tag("Manufacturer", 0x0008, 0x0070)
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


def nm_numbers() -> list[int]:
    """Return the number of every attribute of an NM object to load, and of no other."""
    tags = [tag for tag in globals().values() if isinstance(tag, Tag)]
    numbers = {(tag.group << 16) | tag.element for tag in tags if not tag.creator}
    for tag in tags:
        if tag.creator:
            numbers |= {(tag.group << 16) | block for block in PRIVATE_BLOCKS}
            numbers |= {(tag.group << 16) | tag.element_in(block) for block in PRIVATE_BLOCKS}
    return sorted(numbers | set(header_numbers()))
