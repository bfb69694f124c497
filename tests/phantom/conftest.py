"""Virtual patients that several modules look at; made once."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers.commands import Run, runner
from rpt_cohort.labels import ORGANS as CONTRACT_ORGANS
from rpt_phantom.__main__ import app
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.settings import CohortSettings

ORGANS = {name: CONTRACT_ORGANS[name] for name in ("kidney", "liver", "spleen")}
PATIENTS, SLICES = 6, 56


@dataclass(frozen=True)
class OrganImage:
    """One organ of one cycle, inside the field of view and without lesions."""

    volume_ml: float
    centre_x_mm: float
    pet_suv: float
    dose_gy_per_gbq: float
    true_dose_gy_per_gbq: float
    correlation: float


def look_at(made: VirtualCycle, labels: tuple[int, ...]) -> OrganImage:
    here = np.isin(made.organs, labels) & (made.fov > 0) & (made.lesions == 0)
    pet, dose = made.pet_suv[here], made.dose_gy_per_gbq[here]
    x, _, _ = made.grid.axes_mm()
    return OrganImage(
        volume_ml=float(np.isin(made.organs, labels).sum() * made.grid.voxel_ml),
        centre_x_mm=float(np.broadcast_to(x, here.shape)[here].mean()),
        pet_suv=float(pet.mean()),
        dose_gy_per_gbq=float(dose.mean()),
        true_dose_gy_per_gbq=float(made.true_dose_gy_per_gbq[here].mean()),
        correlation=float(np.corrcoef(pet, dose)[0, 1]),
    )


@pytest.fixture(scope="session")
def organ_images() -> dict[str, list[OrganImage]]:
    """Organ → its images in the first cycle of some patients."""
    seen: dict[str, list[OrganImage]] = {name: [] for name in ORGANS}
    for patient in range(1, PATIENTS + 1):
        made = make_cycle(CohortSettings(seed=11, slices=SLICES), patient=patient)
        for name, labels in ORGANS.items():
            seen[name].append(look_at(made, labels))
    return seen


@pytest.fixture(scope="session")
def one_cycle() -> VirtualCycle:
    return make_cycle(CohortSettings(seed=3, slices=SLICES), patient=2)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``python -m rpt_phantom``."""
    return runner("rpt_phantom", app, monkeypatch, capfd)
