"""DICOM in and out for rpt-dosegan: a PET series becomes SUV, a SPECT series activity."""

from rpt_dosimetry.concentration import Concentration, read_concentration
from rpt_dosimetry.dicom.series import Series, choose_pet, find_series
from rpt_dosimetry.suv import Suv, convert, report

__version__ = "0.1.0"

__all__ = [
    "Concentration",
    "Series",
    "Suv",
    "choose_pet",
    "convert",
    "find_series",
    "read_concentration",
    "report",
]
