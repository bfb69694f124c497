"""How the tests run the bundle's workflows, and the cases that they spoil."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

BUNDLE = Path(__file__).parents[2] / "bundle"
sys.path.insert(0, str(BUNDLE))

Run = Callable[..., ConfigWorkflow]


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The bundle's root."""
    return BUNDLE


@pytest.fixture(scope="module")
def shipped() -> nn.Module:
    """The generator of inference.yaml with the weights of the repository."""
    from scripts.weights import load_generator

    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.yaml"))
    network = parser.get_parsed_content("network_def")
    load_generator(network, str(BUNDLE / "models" / "model.pt"))
    return network.eval()  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def workflow() -> Run:
    """Build a workflow: ``workflow("train", max_epochs=1, …)``; overlays after ``+``."""

    def build(name: str, **overrides: Any) -> ConfigWorkflow:
        files = [str(BUNDLE / "configs" / f"{part}.yaml") for part in name.split("+")]
        return ConfigWorkflow(
            config_file=files,
            workflow_type="train" if "train" in name else "infer",
            logging_file=False,
            bundle_root=str(BUNDLE),
            **{key.replace("__", "#"): value for key, value in overrides.items()},
        )

    return build


@pytest.fixture(scope="session")
def run(workflow: Run) -> Run:
    """Build a workflow, run it to its end and return it."""

    def build_and_run(name: str, **overrides: Any) -> ConfigWorkflow:
        built = workflow(name, **{key: _plain(value) for key, value in overrides.items()})
        built.initialize()
        built.run()
        built.finalize()
        return built

    return build_and_run


@pytest.fixture
def pet(cohort: Path, tmp_path: Path) -> Path:
    """One PET with its sidecar, to spoil."""
    shutil.copy(cohort / "P001/C1/pet.nii.gz", tmp_path / "suv.nii.gz")
    (tmp_path / "suv.json").write_text('{"tracer": "68Ga-PSMA-11"}')
    return tmp_path / "suv.nii.gz"


@pytest.fixture
def small_case(tmp_path: Path) -> dict[str, str]:
    """A 40³ case of {image, label}: a warm ball in a cool cube."""
    axis = np.arange(40) - 19.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    suv = np.where(x**2 + y**2 + z**2 < 100, 10.0, 1.0).astype(np.float32)
    affine = np.diag([4.8, 4.8, 4.8, 1.0])
    nib.save(nib.Nifti1Image(suv, affine), tmp_path / "pet.nii.gz")
    nib.save(nib.Nifti1Image(0.02 * suv, affine), tmp_path / "dose.nii.gz")
    return {"image": str(tmp_path / "pet.nii.gz"), "label": str(tmp_path / "dose.nii.gz")}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
