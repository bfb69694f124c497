"""Virtual patients with known truth: PSMA PET, CT, organs, lesions and absorbed dose.

Imports run one way: grid, seeds → anatomy, agents, person, settings → box → true_dose → truth
→ pet, fast_spect, motion, spect → full_spect, measured → series → patient → ceiling →
case_files, presets → plan → cohort → clinic, gallery.
"""

from rpt_phantom.cohort import write_cohort
from rpt_phantom.grid import Grid, torso_grid
from rpt_phantom.patient import VirtualCycle, virtual_cycle

__version__ = "0.1.0"

__all__ = ["Grid", "VirtualCycle", "torso_grid", "virtual_cycle", "write_cohort"]
