"""A virtual therapy cycle as the DICOM that a clinic would hold.

Imports run one way: visit → header → planes, isotope → nm → pet, ct, nm_tomogram, nm_planar,
outlines → rtstruct → clinic → study → cycle.
"""

from rpt_phantom.dicom.clinic import ClinicCycle, PetCt, SpectCt
from rpt_phantom.dicom.cycle import write_cycle
from rpt_phantom.dicom.nm_planar import WholeBody
from rpt_phantom.dicom.nm_tomogram import SpectTiming
from rpt_phantom.dicom.pet import PetTiming
from rpt_phantom.dicom.study import cycle_entry, write_study
from rpt_phantom.dicom.visit import VirtualPatient, Visit

__all__ = [
    "ClinicCycle",
    "PetCt",
    "PetTiming",
    "SpectCt",
    "SpectTiming",
    "VirtualPatient",
    "Visit",
    "WholeBody",
    "cycle_entry",
    "write_cycle",
    "write_study",
]
