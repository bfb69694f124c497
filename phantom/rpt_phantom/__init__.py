"""Virtual patients with known truth: PSMA PET, CT, organs, lesions and absorbed dose.

Imports run one way: grid → anatomy → agents, spect, motion → person, settings → truth → pet,
measured → imaging → coverage → patient → case_files → cohort; case_files, dicom → clinic →
resemblance; gallery draws files.
"""

from rpt_phantom.cohort import write_cohort
from rpt_phantom.grid import Grid, torso_grid
from rpt_phantom.patient import VirtualCycle, virtual_cycle

__version__ = "0.1.0"

__all__ = ["Grid", "VirtualCycle", "torso_grid", "virtual_cycle", "write_cohort"]
