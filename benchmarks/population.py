"""What virtual patients resemble, and what there is to learn in them, on two seeds.

``python benchmarks/population.py`` makes the first cycles of 100 patients of either seed (an hour
on 2 cores; a run that was killed goes on), prints the tables and writes them to
``benchmarks/population.md``. The population was tuned on seeds 1 and 101 to 104.
"""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer
from rpt_cohort.command import in_parallel
from rpt_cohort.labels import ORGANS
from rpt_phantom.agents import POPULATION
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.resemblance import COMPARED, between_patients, cycle_values, table
from rpt_phantom.settings import CohortSettings
from scipy.ndimage import distance_transform_edt, gaussian_filter
from sklearn.ensemble import HistGradientBoostingRegressor

ROOT = Path(__file__).parents[1]
SEEDS, PATIENTS, TRAINING = (21, 22), 100, 40
STD_MM = (0.0, 4.0, 5.5, 7.0, 10.0, 14.0, 20.0, 30.0)
"""Of the Gaussians by which the PET's local means are taken."""
LEAST_VOXELS = 60
NEAR_LESION_MM = 12.0
"""One resolution of the SPECT: nearer to a lesion, an organ's dose is what spills over from it."""

Rows = Float32[np.ndarray, "voxel column"]


def organ_rows(made: VirtualCycle) -> dict[str, Rows]:
    """Return the voxels of a cycle's organs, without lesions."""
    inside = (made.lesions == 0) & (made.fov > 0)
    regions = {organ: np.isin(made.organs, ORGANS[organ]) & inside for organ in COMPARED}
    return voxel_rows(
        made.pet_suv, made.lesions, made.dose_gy_per_gbq, regions, made.grid.spacing_mm[0]
    )


def voxel_rows(
    suv: Float32[np.ndarray, "x y z"],
    lesions: Integer[np.ndarray, "x y z"],
    dose_gy_per_gbq: Float32[np.ndarray, "x y z"],
    regions: Mapping[str, Bool[np.ndarray, "x y z"]],
    spacing_mm: float,
) -> dict[str, Rows]:
    """Return each region's voxels; one of few voxels has none.

    Columns: local means of the PET, depth and distance from a lesion in mm, dose.
    """
    local = [gaussian_filter(suv, std / spacing_mm) for std in STD_MM]
    away_mm = np.full(suv.shape, np.inf)
    if lesions.any():
        away_mm = distance_transform_edt(lesions == 0, sampling=spacing_mm)
    rows = {}
    for name, here in regions.items():
        if np.count_nonzero(here) >= LEAST_VOXELS:
            depth_mm = distance_transform_edt(here, sampling=spacing_mm)
            columns = [*local, depth_mm, away_mm, dose_gy_per_gbq]
            rows[name] = np.stack([one[here] for one in columns], axis=1).astype(np.float32)
    return rows


def features(rows: Rows) -> Rows:
    """Return what the regression sees of every voxel: PET over the organ's mean, and depth."""
    local, depth_mm = rows[:, : len(STD_MM)], rows[:, len(STD_MM)]
    relative = local / local.mean(axis=0)
    of_fine = local / local[:, 1].mean()
    near = np.stack([depth_mm, np.minimum(depth_mm, 10), np.minimum(depth_mm, 20)], axis=1)
    return np.concatenate([of_fine, np.log(np.maximum(relative, 1e-3)), near], axis=1)


def shape(values: Float[np.ndarray, " voxel"]) -> Float[np.ndarray, " voxel"]:
    """Return values over their mean."""
    relative: Float[np.ndarray, " voxel"] = values / values.mean()
    return relative


def shape_errors(train: list[Rows], test: list[Rows]) -> tuple[float, dict[str, float]]:
    """Return the best blur's SD in mm, and mean shape errors on patients that were not seen.

    The shape error of a prediction is the root mean square, over an organ's voxels, of what it
    and the measured dose, each over its mean, differ by.
    """

    def off(predicted: Float[np.ndarray, " voxel"], rows: Rows) -> float:
        return float(np.sqrt(np.mean((shape(predicted) - shape(rows[:, -1])) ** 2)))

    blurs = [np.mean([off(rows[:, at], rows) for rows in train]) for at in range(len(STD_MM))]
    at = int(np.argmin(blurs))
    weight = np.concatenate([np.full(len(rows), 1 / len(rows)) for rows in train])
    contrast = np.concatenate([shape(rows[:, at]) for rows in train]) - 1
    wanted = np.concatenate([shape(rows[:, -1]) for rows in train])
    slope = float(np.sum(weight * contrast * (wanted - 1)) / np.sum(weight * contrast**2))
    model = trees(train)
    errors = {
        "blurred PET": [off(rows[:, at], rows) for rows in test],
        f"its contrast times {slope:.2f}": [
            off(1 + slope * (shape(rows[:, at]) - 1), rows) for rows in test
        ],
        "boosted trees": [off(model.predict(features(rows)), rows) for rows in test],
    }
    return STD_MM[at], {name: float(np.mean(of)) for name, of in errors.items()}


def trees(train: list[Rows]) -> HistGradientBoostingRegressor:
    """Return boosted trees that give dose over its mean in the organ; patients count alike."""
    weight = np.concatenate([np.full(len(rows), 1 / len(rows)) for rows in train])
    model = HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=15, min_samples_leaf=200, random_state=0
    )
    return model.fit(
        np.concatenate([features(rows) for rows in train]),
        np.concatenate([shape(rows[:, -1]) for rows in train]),
        sample_weight=weight / weight.mean(),
    )


def first_cycle(folder: Path, settings: CohortSettings, patient: int) -> None:
    """Make a patient's first cycle, and keep what the tables need."""
    values, rows = folder / f"{patient:03d}.json", folder / f"{patient:03d}.npz"
    if not values.exists():
        made = make_cycle(settings, patient=patient, cycle=1)
        np.savez(rows, allow_pickle=False, **organ_rows(made))
        values.write_text(json.dumps(cycle_values(made)), encoding="utf-8")


def beyond_mm(rows: dict[str, Rows], least_mm: float) -> dict[str, Rows]:
    """Return the voxels that are farther from lesions; organs with few of them have none."""
    far = {organ: of[of[:, len(STD_MM) + 1] > least_mm] for organ, of in rows.items()}
    return {organ: of for organ, of in far.items() if len(of) >= LEAST_VOXELS}


def learnt(train: list[dict[str, Rows]], test: list[dict[str, Rows]]) -> list[str]:
    """Return the table of what boosted trees find beyond a blur."""
    lines = ["| organ | prediction | shape error | lower by |", "|---|---|---|---|"]
    for organ in COMPARED:
        std_mm, errors = shape_errors(
            [one[organ] for one in train if organ in one],
            [one[organ] for one in test if organ in one],
        )
        blurred = errors["blurred PET"]
        for name, error in errors.items():
            told = f"{name}, SD {std_mm:g} mm" if name == "blurred PET" else name
            lines.append(f"| {organ} | {told} | {error:.3f} | {1 - error / blurred:.1%} |")
    return lines


def main() -> None:
    """Make the patients, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=PATIENTS, help="of either seed")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "population")
    asked = parser.parse_args()
    numbers = range(1, asked.patients + 1)
    lines = [
        "# Virtual patients beside what is published",
        "",
        f"`python benchmarks/population.py`: first cycles of {asked.patients} virtual patients of "
        f"either seed, population {POPULATION}, {CohortSettings().slices} slices, imaged fast. "
        "What the columns mean: `phantom/README.md`.",
    ]
    rows: dict[int, list[dict[str, Rows]]] = {}
    for seed in SEEDS:
        folder = asked.folder / f"population{POPULATION}_seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        work = partial(first_cycle, folder, CohortSettings(seed=seed))
        in_parallel(work, numbers, description=f"Seed {seed}")
        values = [json.loads((folder / f"{n:03d}.json").read_text()) for n in numbers]
        rows[seed] = [dict(np.load(folder / f"{n:03d}.npz")) for n in numbers]
        lines += ["", f"## Seed {seed}", "", table(values), between_patients(values)]
    one, other = SEEDS
    lines += [
        "## What there is to learn within an organ",
        "",
        f"Boosted trees on the PET's local means (SD {STD_MM[0]:g} to "
        f"{STD_MM[-1]:g} mm) and the distance to the organ's border, trained on {TRAINING} "
        f"patients of seed {one}, beside the PET blurred by the SD that is best on them; on the "
        f"other {asked.patients - TRAINING} of that seed, then on all of seed {other}. How much "
        "of it is one factor for all contrast (the PET's own pattern, which the dose does not "
        "share) is told between; the rest is what changes with depth and with what is near. The "
        f"{NEAR_LESION_MM:g} mm were chosen after all voxels of both seeds had been seen, in "
        "which a few beside lesions rule the liver's error.",
    ]
    for least_mm, where in (
        (NEAR_LESION_MM, f"farther than {NEAR_LESION_MM:g} mm (one resolution) from any lesion"),
        (0.0, "with what spills over from lesions"),
    ):
        far = {seed: [beyond_mm(of, least_mm) for of in rows[seed]] for seed in SEEDS}
        train, rest = far[one][:TRAINING], far[one][TRAINING:]
        for seed, test in ((one, rest), (other, far[other])):
            lines += ["", f"On seed {seed}, {where}:", "", *learnt(train, test)]
    text = "\n".join(lines) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
