"""A prediction folder by boosted trees that see each voxel's surroundings and the organs' masks.

``python benchmarks/voxel_trees.py COHORT GUIDED OUT`` learns the dose's shape in kidney, liver and
spleen on the cohort's training cycles (at most 100), as ``population.py`` does, and gives it to
each organ of the testing cycles at the mean that GUIDED, a prediction folder of ``rpt_eval
baseline`` such as ``organ_guided_blurred``, has there. Elsewhere GUIDED stands.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
from population import (  # type: ignore[import-not-found]
    Rows,
    features,
    shape,
    trees,
    voxel_rows,
)
from rpt_cohort import Case, Cohort, new_folder, nifti_bytes, read_cohort, read_volume
from rpt_cohort.command import in_parallel
from rpt_eval.predictions import CycleMaps, read_maps
from rpt_eval.regions import RATED_ORGANS, regions
from sklearn.ensemble import HistGradientBoostingRegressor

TRAINING = 100
"""Ours: some two million voxels of liver."""


def rows_of(maps: CycleMaps) -> dict[str, Rows]:
    """Return the voxels of a cycle's organs, lesions within them included."""
    found = regions(maps)
    wanted = {name: found[name] for name in RATED_ORGANS}
    rows: dict[str, Rows] = voxel_rows(
        maps.suv, maps.lesions, maps.dose, wanted, maps.spacing_mm[0]
    )
    return rows


def training_rows(cohort: Cohort, case: Case) -> dict[str, Rows]:
    """Read a cycle's voxels."""
    return rows_of(read_maps(cohort, case))


def predict(
    cohort: Cohort,
    models: dict[str, HistGradientBoostingRegressor],
    guided: Path,
    out: Path,
    case: Case,
) -> None:
    """Write a cycle's map."""
    maps = read_maps(cohort, case)
    rows, found = rows_of(maps), regions(maps)
    volume = read_volume(guided / case.name / "dose.nii.gz", name=f"{case.name}/dose.nii.gz")
    dose = volume.data.astype(np.float32)
    for name, of in rows.items():
        relative = np.maximum(models[name].predict(features(of)), 0.0)
        dose[found[name]] = dose[found[name]].mean() * shape(relative)
    (out / case.name).mkdir(parents=True)
    (out / case.name / "dose.nii.gz").write_bytes(nifti_bytes(dose, maps.affine, dtype=np.float32))


def main() -> None:
    """Learn, predict, write."""
    folder, guided, out = map(Path, sys.argv[1:])
    cohort = read_cohort(folder)
    train = in_parallel(
        partial(training_rows, cohort), cohort.training[:TRAINING], description="Voxels"
    )
    models = {name: trees([rows[name] for rows in train if name in rows]) for name in RATED_ORGANS}
    info = json.loads((guided / "prediction.json").read_text(encoding="utf-8"))
    with new_folder(out) as root:
        work = partial(predict, cohort, models, guided, root)
        in_parallel(work, cohort.testing, description="Dose maps")
        names = [case.name for case in cohort.testing]
        info |= {"method": "voxel_trees", "fold": dict.fromkeys(names)}
        (root / "prediction.json").write_text(json.dumps(info, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
