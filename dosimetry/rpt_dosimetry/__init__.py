"""DICOM in and out for rpt-dosegan: a PET series becomes a body-weight SUV volume."""

from rpt_dosimetry.report import report
from rpt_dosimetry.series import Series, choose_pet, find_series
from rpt_dosimetry.suv import Suv, convert

__version__ = "0.1.0"

__all__ = ["Series", "Suv", "choose_pet", "convert", "find_series", "report"]
