"""Regions that others drew: DICOM segmentations, and whose names mean which organ."""

from rpt_dosimetry.masks.names import OrganTable, read_organ_table
from rpt_dosimetry.masks.segmentation import Segment, read_segments, segment_mask

__all__ = ["OrganTable", "Segment", "read_organ_table", "read_segments", "segment_mask"]
