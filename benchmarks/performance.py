"""The shipped weights beside predictors that need no network, on a cohort's testing cases.

``make performance`` makes the cohort of the shipped weights and writes
``benchmarks/performance.md``, the table of ``bundle/docs/README.md``.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from rpt_cohort.labels import ORGANS
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bundle"))
PET_TO_SPECT_FWHM_MM = 10.4  # as the generator's prior: 6 mm to 12 mm in quadrature
FWHM_PER_SIGMA = 2.3548
RATED_ORGANS = ("kidney", "liver", "spleen")


@dataclass(frozen=True)
class Case:
    """One cycle: SUV, g/mL, sharp and blurred; dose, Gy/GBq; where it counts; regions."""

    suv: np.ndarray
    blurred: np.ndarray
    dose: np.ndarray
    counts: np.ndarray
    organs: np.ndarray
    lesions: np.ndarray

    def region(self, name: str) -> np.ndarray:
        """Return where an organ, ``lesions`` or the ``rest of the body`` counts."""
        regions: dict[str, np.ndarray] = {"lesions": self.lesions}
        regions |= {key: np.isin(self.organs, ORGANS[key]) for key in RATED_ORGANS}
        rest = ~np.logical_or.reduce(list(regions.values()))
        here: np.ndarray = self.counts & regions.get(name, rest)
        return here


def load_case(case: Mapping[str, str]) -> Case:
    """Read a case of the bundle's case lists."""

    def read(path: str | Path) -> np.ndarray:
        data: np.ndarray = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)
        return data

    image = nib.Nifti1Image.from_filename(case["image"])
    suv = read(case["image"])
    sigma = PET_TO_SPECT_FWHM_MM / FWHM_PER_SIGMA / np.array(image.header.get_zooms())
    organs, lesions = read(case["organs"]), Path(case["image"]).with_name("lesions.nii.gz")
    return Case(
        suv=suv,
        blurred=gaussian_filter(suv, sigma),
        dose=read(case["label"]),
        counts=(organs > 0) & (read(case["fov"]) > 0),
        organs=organs,
        lesions=read(lesions) > 0 if lesions.is_file() else np.zeros(suv.shape, bool),
    )


@dataclass(frozen=True)
class SimplePredictors:
    """What is fitted on training cases: a mean dose, Gy/GBq, and factors, Gy/GBq per g/mL."""

    mean_dose: float
    pet_factor: float
    blurred_factor: float
    organ_factor: dict[str, float]

    def predict(self, case: Case) -> dict[str, np.ndarray]:
        """Return the dose map of each predictor, Gy/GBq; the last two need organ masks."""
        blurred = self.blurred_factor * case.blurred
        by_factor, by_truth = blurred.copy(), blurred.copy()
        for organ in RATED_ORGANS:
            here, rated = np.isin(case.organs, ORGANS[organ]), case.region(organ)
            by_factor[here] = self.organ_factor[organ] * case.blurred[here]
            if rated.any():
                true = case.dose[rated].mean() / case.blurred[rated].mean()
                by_truth[here] = true * case.blurred[here]
        return {
            "zero everywhere": 0 * case.suv,
            "mean dose everywhere": 0 * case.suv + self.mean_dose,
            "PET × one factor": self.pet_factor * case.suv,
            "PET blurred to SPECT resolution × one factor": blurred,
            "PET blurred to SPECT resolution × organ factor": by_factor,
            "PET blurred to SPECT resolution × each organ's *true* mean": by_truth,
        }


def fit(cases: Iterable[Case]) -> SimplePredictors:
    """Fit mean and factors; factors by least squares over voxels, organs by mean dose."""
    sums, means = np.zeros(4), []
    organ_sums = {organ: np.zeros(2) for organ in RATED_ORGANS}
    for case in cases:
        suv, blurred, dose = (m[case.counts] for m in (case.suv, case.blurred, case.dose))
        sums += [(suv * dose).sum(), (suv**2).sum(), (blurred * dose).sum(), (blurred**2).sum()]
        means.append(float(dose.mean()))
        for organ, pair in organ_sums.items():
            here = case.region(organ)
            if here.any():
                pair += [case.dose[here].mean(), case.blurred[here].mean()]
    return SimplePredictors(
        mean_dose=float(np.mean(means)),
        pet_factor=float(sums[0] / sums[1]),
        blurred_factor=float(sums[2] / sums[3]),
        organ_factor={organ: float(d / b) for organ, (d, b) in organ_sums.items()},
    )


def main() -> None:
    """Measure, print and write the tables."""
    from scripts.cases import held_out_cases, training_cases

    cohort = sys.argv[1]
    training, testing = training_cases(cohort, -1), held_out_cases(cohort)
    simple = fit(map(load_case, training))
    network = _shipped()
    rows: dict[str, list[list[float]]] = {}
    squares: dict[str, dict[str, float]] = {}
    for case in map(load_case, testing):
        with torch.no_grad():
            own = network(torch.as_tensor(case.suv)[None, None])[0, 0].numpy()
        predictions = {"**3D RPT DoseGAN, shipped weights**": own}
        for name, dose in {**predictions, **dict(reversed(simple.predict(case).items()))}.items():
            rows.setdefault(name, []).append(_metrics(dose, case))
            for region in (*RATED_ORGANS, "lesions", "rest of the body"):
                error = float(((dose - case.dose)[case.region(region)] ** 2).sum())
                of_region = squares.setdefault(region, {})
                of_region[name] = of_region.get(name, 0.0) + error
    text = "\n".join([*_table(rows, len(testing)), "", *_regions(squares), ""])
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "performance.md").write_text(text, encoding="utf-8")


def _shipped() -> torch.nn.Module:
    from scripts.weights import load_generator

    parser = ConfigParser()
    parser.read_config(str(ROOT / "bundle" / "configs" / "inference.yaml"))
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    load_generator(network, str(ROOT / "bundle" / "models" / "model.pt"))
    return network.eval()


def _metrics(dose: np.ndarray, case: Case) -> list[float]:
    from scripts.metrics import nrmse_euclid, nrmse_range, ssim

    prediction = torch.as_tensor(dose, dtype=torch.float32)[None]
    label = torch.as_tensor(np.where(case.counts, case.dose, np.nan), dtype=torch.float32)[None]
    return [float(metric(prediction, label)) for metric in (nrmse_range, nrmse_euclid, ssim)]


def _table(rows: Mapping[str, list[list[float]]], cases: int) -> Iterator[str]:
    yield f"{cases} testing cycles of virtual patients; mean ± SD over cycles."
    yield ""
    yield "| predictor | NRMSE, % of range | ‖error‖ ÷ ‖reference‖ | SSIM |"
    yield "|---|---|---|---|"
    for name, values in rows.items():
        (nrmse, euclid, ssim_), (nrmse_sd, euclid_sd, ssim_sd) = (
            np.mean(values, axis=0),
            np.std(values, axis=0, ddof=1),
        )
        yield (
            f"| {name} | {100 * nrmse:.2f} ± {100 * nrmse_sd:.2f} | {euclid:.3f} ± "
            f"{euclid_sd:.3f} | {ssim_:.3f} ± {ssim_sd:.3f} |"
        )


def _regions(squares: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "Squared error, shipped weights ÷ PET blurred × organ factor:"
    yield ""
    yield "| region | ratio |"
    yield "|---|---|"
    for region, of_region in squares.items():
        own = of_region["**3D RPT DoseGAN, shipped weights**"]
        other = of_region["PET blurred to SPECT resolution × organ factor"]
        yield f"| {region} | {own / other:.2f} |"


if __name__ == "__main__":
    main()
