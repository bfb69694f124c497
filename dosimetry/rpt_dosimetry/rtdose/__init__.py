"""Absorbed dose as a DICOM RT Dose object, out and in."""

from rpt_dosimetry.rtdose.reading import RtDose, read_rtdose
from rpt_dosimetry.rtdose.writing import Reference, read_reference, rtdose_bytes

__all__ = ["Reference", "RtDose", "read_reference", "read_rtdose", "rtdose_bytes"]
