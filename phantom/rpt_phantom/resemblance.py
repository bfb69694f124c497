"""How much a virtual cohort resembles what is published of patients.

Every cycle is made again from its seed, for what its files do not hold: the truth, and images
without noise.

Source: the correlation of PET and dose over an organ's voxels, Xue et al., EJNMMI 2024, doi
10.1007/s00259-024-06737-3, Fig. 3; the kidney's dose, Okamoto et al. 2017 and Ells et al., J Nucl
Med 65 (2024) 1264. What has no source here is what reviews of the field tell, about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32
from rpt_cohort import (
    BadInput,
    file_sha256,
    json_bytes,
    provenance,
    read_cohort,
    write_together,
)
from rpt_cohort.labels import ORGANS
from rpt_dosimetry.ingest.cohort_folder import COHORT, DATALIST
from rpt_dosimetry.ingest.job import spread
from scipy.ndimage import distance_transform_edt

from rpt_phantom.agents import POPULATION, agent_of
from rpt_phantom.anatomy import OwnAnatomy
from rpt_phantom.case_files import libraries
from rpt_phantom.clinic import check_remade, read_settings
from rpt_phantom.coverage import patient_number
from rpt_phantom.imaging import fast_mean
from rpt_phantom.motion import breathed
from rpt_phantom.patient import VirtualCycle, dose_of, make_cycle
from rpt_phantom.pet import pet_mean
from rpt_phantom.settings import CohortSettings
from rpt_phantom.truth import averaged_by_volume

ERODED_MM = 12.0
"""One resolution of the SPECT, so that an organ's edge plays no part."""
EARLY_H, LATE_H = 4.0, 12.0
"""When the excreted activity is looked at."""
COMPARED = ("kidney", "liver", "spleen")
"""Organs whose correlation the paper tells."""
GLANDS = "salivary_glands"
LEAST_VOXELS, LEAST_PATIENTS = 30, 10
RIDGE = 1.0
"""Of the regression between patients, features standardised. Ours."""
BETWEEN = {
    "kidney": "25.5 % → 15.8 %",
    "liver": "139 % (outliers) → 29.6 %",
    "spleen": "54.1 % → 32.1 %",
    GLANDS: "67.0 % → 23.8 %",
    "lesions": "r 0.92 (one ligand)",
}
"""Errors of the population's mean and by PET, 23 patients of I&T. Source: Xue et al. 2022; the r
is of tumours of PSMA-617 in 9 patients."""

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class Published:
    """What is published of one quantity.

    Attributes:
        name: What the table calls it.
        key: Of ``cycle_values``.
        told: The published value, for people.
        low: Least mean of a cohort that resembles it.
        high: Largest.
        std: Published SD over cycles, of which a cohort's should be 0.5 to 1.5; 0 for none.
    """

    name: str
    key: str
    told: str
    low: float
    high: float
    std: float = 0.0

    def told_apart(self, mean: float, std: float) -> str:
        """Tell what of a cohort's mean and SD lies outside; empty for nothing."""
        if np.isnan(mean):
            return "not in the field of view"
        if not self.low <= mean <= self.high:
            return "outside"
        if self.std and np.isfinite(std) and not 0.5 * self.std <= std <= 1.5 * self.std:
            return "SD outside"
        return ""


PUBLISHED = (
    Published("SUVmean kidney at 60 min", "suv_kidney", "25–50", 25, 50),
    Published("SUVmean liver", "suv_liver", "4–6", 4, 6),
    Published("SUVmean spleen", "suv_spleen", "6–10", 6, 10),
    Published("SUVmean lesions", "suv_lesions", "5–40", 5, 40),
    Published("kidney dose (Gy/GBq)", "dose_kidney", "0.69–0.72", 0.62, 0.79),
    Published("liver dose (Gy/GBq)", "dose_liver", "about 0.1", 0.08, 0.12),
    Published("lesion dose (Gy/GBq)", "dose_lesions", "3.2 ± 2.6 to 5 (I&T, 617)", 3, 6),
    Published("spleen dose (Gy/GBq)", "dose_spleen", "0.2–0.4", 0.2, 0.4),
    Published("effective half-life kidney (h)", "half_life_kidney", "35.5 (617)", 30, 42),
    Published("effective half-life liver (h)", "half_life_liver", "22.9 (617)", 19, 27),
    Published("effective half-life spleen (h)", "half_life_spleen", "16.8 (617)", 14, 20),
    Published("excreted at 4 h (%)", "excreted_early", "50 ± 15", 35, 65),
    Published("excreted at 12 h (%)", "excreted_late", "70 ± 15", 55, 85),
    Published("r PET–dose, kidney", "r_kidney", "0.77 ± 0.14", 0.70, 0.84, 0.14),
    Published("r PET–dose, liver", "r_liver", "0.50 ± 0.23", 0.43, 0.57, 0.23),
    Published("r PET–dose, spleen", "r_spleen", "0.58 ± 0.26", 0.51, 0.65, 0.26),
)
"""Bounds of the r are the paper's mean ± 0.07; of doses and half-lives, ours around the median."""
OTHERS = {
    "r_noise_free": "without noise and misalignment",
    "r_eroded": "the same, within the organ less 12 mm",
    "r_true": "true SUV and true dose, less 12 mm",
}


def write_resemblance(
    cohort: Path, out: Path, *, workers: int | None, anatomy: OwnAnatomy | None
) -> int:
    """Make a cohort's cycles again and write the table, with its JSON beside it.

    Args:
        cohort: The folder, imaged fast.
        out: The table, ``.md``.
        workers: Processes; ``None`` for one for each core.
        anatomy: That of the cohort, where it has one of its own.

    Returns:
        How many cycles there are.

    Raises:
        BadInput: The cohort is another's, of another version, or imaged in full.
    """
    settings = read_settings(cohort, anatomy=anatomy)
    if settings.imaging != "fast":
        raise BadInput("The cohort must be imaged fast: without noise the full mode has no images.")
    cases = [case.name for case in read_cohort(cohort).cases]
    check_remade(cohort, settings, cases)
    values = spread(
        partial(_of_case, settings), cases, description="Virtual cycles", workers=workers, dask=None
    )
    patients = len({case.partition("/")[0] for case in cases})
    text = (
        f"{len(values)} cycles of {patients} virtual patients: seed {settings.seed}, population "
        f"{POPULATION}, {settings.slices} slices.\n\n" + table(values)
    )
    first = [one for case, one in zip(cases, values, strict=True) if case.endswith("/C1")]
    text += "\n" + (
        between_patients(first)
        if len(first) >= LEAST_PATIENTS
        else f"Between patients: told from {LEAST_PATIENTS} first cycles on, here {len(first)}.\n"
    )
    content = {
        "cycles": dict(zip(cases, values, strict=True)),
        "provenance": provenance(
            package="rpt-phantom",
            command="resemblance",
            parameters=settings.parameters(),
            inputs={name: file_sha256(cohort / name) for name in (COHORT, DATALIST)},
            seed=settings.seed,
            libraries=libraries(settings),
        ),
    }
    write_together({out: text.encode(), out.with_suffix(".json"): json_bytes(content)})
    return len(cases)


def _of_case(settings: CohortSettings, case: str) -> dict[str, float]:
    patient, _, cycle = case.partition("/C")
    return cycle_values(make_cycle(settings, patient=patient_number(patient), cycle=int(cycle)))


def cycle_values(made: VirtualCycle) -> dict[str, float]:
    """Return what is compared, of one cycle; a region hardly in the field of view has none.

    Means of SUV and dose are the true ones, of organs without lesions; correlations are of the
    images. Both are over an organ's voxels in the field of view.
    """
    sharp_suv = _sharp_suv(made)
    pairs = {
        "r": (made.pet_suv, made.dose_gy_per_gbq),
        "r_noise_free": _without_noise(made),
        "r_true": (sharp_suv, made.true_dose_gy_per_gbq),
    }
    therapy = made.truth.therapy
    values = {
        "excreted_early": 100.0 * therapy.excreted(EARLY_H),
        "excreted_late": 100.0 * therapy.excreted(LATE_H),
    }
    for name in (*COMPARED, GLANDS, "lesions"):
        here = _region(made, name)
        if not here.any():
            continue
        values[f"suv_{name}"] = float(sharp_suv[here].mean())
        values[f"dose_{name}"] = float(made.true_dose_gy_per_gbq[here].mean())
        if name in COMPARED:
            values[f"half_life_{name}"] = _half_life_h(made, name)
            values |= _correlations(pairs, here, name, spacing_mm=made.grid.spacing_mm[0])
    return {key: value for key, value in values.items() if np.isfinite(value)}


def _correlations(
    pairs: Mapping[str, tuple[Map, Map]],
    here: Bool[np.ndarray, "x y z"],
    name: str,
    *,
    spacing_mm: float,
) -> dict[str, float]:
    inner = here & (distance_transform_edt(here, sampling=spacing_mm) > ERODED_MM)
    return {
        f"r_{name}": _r(*pairs["r"], here),
        f"r_noise_free_{name}": _r(*pairs["r_noise_free"], here),
        f"r_eroded_{name}": _r(*pairs["r_noise_free"], inner),
        f"r_true_{name}": _r(*pairs["r_true"], inner),
    }


def _half_life_h(made: VirtualCycle, name: str) -> float:
    anatomy, physical_h = made.truth.anatomy, agent_of(made.settings.therapy).half_life_h
    here = np.isin(anatomy.organs, ORGANS[name]) & (anatomy.lesions == 0)
    return made.truth.therapy.effective_half_life_h(here, physical_h)


def _sharp_suv(made: VirtualCycle) -> Map:
    """Return the true SUV on the case's grid, g/mL, averaged over each voxel alone."""
    fine = made.truth.suv(time_min=made.record.pet_time_min)
    sharp: Map = made.truth.box.on_case(averaged_by_volume(fine))
    return sharp


def _without_noise(made: VirtualCycle) -> tuple[Map, Map]:
    """Return PET and measured dose, breathing in them, without noise and misalignment."""
    truth = made.truth
    sharp = truth.suv(time_min=made.record.pet_time_min)
    pet = pet_mean(breathed(sharp, truth.anatomy, amplitude_mm=made.pet_breath_mm), truth.box)
    images = [fast_mean(one, truth.box) for one in made.series.recovered]
    return pet, dose_of(images, made.series, truth, made.record)


def _region(made: VirtualCycle, name: str) -> Bool[np.ndarray, "x y z"]:
    lesion = made.lesions > 0
    of = lesion if name == "lesions" else np.isin(made.organs, ORGANS[name]) & ~lesion
    here: Bool[np.ndarray, "x y z"] = of & (made.fov > 0)
    return here


def _r(one: Map, other: Map, here: Bool[np.ndarray, "x y z"]) -> float:
    if np.count_nonzero(here) < LEAST_VOXELS:
        return float("nan")
    return float(np.corrcoef(one[here], other[here])[0, 1])


def table(values: Sequence[Mapping[str, float]]) -> str:
    """Write what was found beside what is published, as a table in Markdown."""
    lines = ["| quantity | virtual, mean ± SD over cycles | published | |", "|---|---|---|---|"]
    for row in PUBLISHED:
        mean, std = mean_and_std(values, row.key)
        apart = row.told_apart(mean, std)
        lines.append(f"| {row.name} | {_told(mean, std, '.3g')} | {row.told} | {apart} |")
    lines += ["", "| r PET–dose | kidney | liver | spleen |", "|---|---|---|---|"]
    for key, name in ({"r": "measured"} | OTHERS).items():
        found = (mean_and_std(values, f"{key}_{organ}") for organ in COMPARED)
        cells = " | ".join(_told(mean, std, ".2f") for mean, std in found)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def _told(mean: float, std: float, digits: str) -> str:
    if np.isnan(mean):
        return "–"
    return f"{mean:{digits}}" + ("" if np.isnan(std) else f" ± {std:{digits.replace('3', '2')}}")


def between_patients(values: Sequence[Mapping[str, float]]) -> str:
    """Write how well an organ's SUV foretells its dose, from patient to patient, in Markdown.

    Errors are mean absolute ones of the organ's mean dose, relative, each patient left out once:
    of the others' mean, and of a ridge regression of log dose on the log SUV of all organs.

    Args:
        values: Of one cycle a patient, as :func:`cycle_values`.
    """
    lines = [
        f"Between {len(values)} patients, of true organ means:",
        "",
        "| | CV of SUV | CV of dose | r of logs | error, population's mean | by PET | published |",
        "|---|---|---|---|---|---|---|",
    ]
    organs = [
        one for one in (*COMPARED, GLANDS, "lesions") if _known(values, f"suv_{one}").sum() > 9
    ]
    whole = [one for one in organs if one != "lesions" and _known(values, f"suv_{one}").all()]
    for organ in organs:
        there = [
            one for one, known in zip(values, _known(values, f"suv_{organ}"), strict=True) if known
        ]
        suv, dose = (np.array([one[f"{key}_{organ}"] for one in there]) for key in ("suv", "dose"))
        others = [np.log([one[f"suv_{name}"] for one in there]) for name in whole if name != organ]
        features = np.stack([np.log(suv), *others], axis=1)
        mean_off, pet_off = _left_out_errors(features, dose)
        r = float(np.corrcoef(np.log(suv), np.log(dose))[0, 1])
        lines.append(
            f"| {organ.replace('_', ' ')} | {suv.std() / suv.mean():.2f} | "
            f"{dose.std() / dose.mean():.2f} | {r:.2f} | {mean_off:.0%} | {pet_off:.0%} | "
            f"{BETWEEN[organ]} |"
        )
    return "\n".join(lines) + "\n"


def _known(values: Sequence[Mapping[str, float]], key: str) -> Bool[np.ndarray, " n"]:
    return np.array([np.isfinite(one.get(key, np.nan)) for one in values])


def _left_out_errors(
    features: Float[np.ndarray, "n f"], dose: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Return the errors of the others' mean dose and of a ridge regression, each left out once."""
    count = len(dose)
    off = np.zeros((2, count))
    for one in range(count):
        others = np.arange(count) != one
        mean, std = features[others].mean(axis=0), features[others].std(axis=0)
        x, y = (features - mean) / std, np.log(dose)
        level = y[others].mean()
        normal = x[others].T @ x[others] + RIDGE * np.eye(x.shape[1])
        slope = np.linalg.solve(normal, x[others].T @ (y[others] - level))
        off[:, one] = dose[others].mean() / dose[one], np.exp(level + x[one] @ slope) / dose[one]
    population, by_pet = np.abs(off - 1.0).mean(axis=1)
    return float(population), float(by_pet)


def mean_and_std(values: Sequence[Mapping[str, float]], key: str) -> tuple[float, float]:
    """Return mean and standard deviation over the cycles that have a value."""
    found = np.array([one[key] for one in values if np.isfinite(one.get(key, np.nan))])
    if not found.size:
        return float("nan"), float("nan")
    return float(found.mean()), float(found.std(ddof=1)) if found.size > 1 else float("nan")
