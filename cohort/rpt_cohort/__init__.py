"""The cohort folder: the one contract by which the rooms of rpt-dosegan meet on disk."""

from rpt_cohort.errors import BadInput
from rpt_cohort.files import (
    file_sha256,
    json_bytes,
    new_folder,
    provenance,
    table_bytes,
    write_together,
)
from rpt_cohort.reading import read_cohort, read_cycle, read_prediction
from rpt_cohort.schema import (
    Case,
    Cohort,
    CohortInfo,
    CycleInfo,
    Datalist,
    PredictionInfo,
    assign_folds,
)
from rpt_cohort.volumes import Volume, grid_fault, nifti_bytes, read_volume

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
