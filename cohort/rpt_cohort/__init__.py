"""The cohort folder: the one contract by which the rooms of rpt-dosegan meet on disk."""

from rpt_cohort.errors import BadInput
from rpt_cohort.folds import assign_folds
from rpt_cohort.provenance import file_sha256, provenance
from rpt_cohort.reading import read_cohort, read_cycle, read_prediction
from rpt_cohort.schema import Case, Cohort, CohortInfo, CycleInfo, Datalist, PredictionInfo
from rpt_cohort.volumes import Volume, grid_fault, nifti_bytes, read_volume
from rpt_cohort.writing import json_bytes, new_folder, table_bytes, write_together

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "Case",
    "Cohort",
    "CohortInfo",
    "CycleInfo",
    "Datalist",
    "PredictionInfo",
    "Volume",
    "assign_folds",
    "file_sha256",
    "grid_fault",
    "json_bytes",
    "new_folder",
    "nifti_bytes",
    "provenance",
    "read_cohort",
    "read_cycle",
    "read_prediction",
    "read_volume",
    "table_bytes",
    "write_together",
]
