"""From DICOM to dose: a PET series becomes SUV, SPECT series activity and absorbed dose."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rpt_dosimetry.concentration import Concentration, read_concentration
from rpt_dosimetry.dicom.series import Series, choose_pet, find_series
from rpt_dosimetry.suv import Suv, convert, report

if TYPE_CHECKING:
    from rpt_dosimetry.dose.activity_series import CycleImages, Therapy
    from rpt_dosimetry.dose.calculation import Choices, CycleDose, cycle_dose

__version__ = "0.1.0"

__all__ = [
    "Choices",
    "Concentration",
    "CycleDose",
    "CycleImages",
    "Series",
    "Suv",
    "Therapy",
    "choose_pet",
    "convert",
    "cycle_dose",
    "find_series",
    "read_concentration",
    "report",
]


def __getattr__(name: str) -> Any:
    """Load what computes dose only where it is asked for: its libraries take a second."""
    if name in ("Choices", "CycleDose", "CycleImages", "Therapy", "cycle_dose"):
        return getattr(import_module("rpt_dosimetry.dose.calculation"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
