"""Two virtual hospitals in one process, which exchange weights and no patients."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

Weights = dict[str, np.ndarray]
SMALL = {"network_def#channels": [4, 8], "discriminator_def#channels": 4}
ROUNDS = 3


def case_of(folder: Path, factor: float) -> dict[str, str]:
    """A patient of one hospital, whose doses are another multiple of the SUV than elsewhere."""
    folder.mkdir()
    rng, affine = np.random.default_rng(0), np.diag([4.8, 4.8, 4.8, 1.0])
    suv = np.kron(rng.gamma(2.0, 2.0, (4, 4, 4)), np.ones((8, 8, 8))).astype(np.float32)
    for key, data in {"image": suv, "label": factor * suv}.items():
        nib.save(nib.Nifti1Image(data.astype(np.float32), affine), folder / f"{key}.nii.gz")
    return {key: str(folder / f"{key}.nii.gz") for key in ("image", "label")}


def hospital(bundle: Path, folder: Path, case: dict[str, str]) -> MonaiAlgo:
    """MONAI's client over the bundle as it stands."""
    common: dict[str, Any] = {**SMALL, "bundle_root": str(bundle)}
    data = {"train#dataset#data": [case] * 2, "validate#dataset#data": [case]}
    algo = MonaiAlgo(
        bundle_root=str(bundle),
        local_epochs=10,
        send_weight_diff=False,
        config_train_filename="configs/train.yaml",
        train_kwargs={
            **{**common, **data, "ckpt_dir": str(folder / "training")},
            **{"val_interval": 10, "adversarial_weight": 0, "patch_size": [16, 16, 16]},
            # MONAI's client makes local_epochs the max_epochs that the schedule would end at.
            **{"lr_scheduler#t_total": 10 * ROUNDS, "learning_rate": 0.01},
        },
        config_evaluate_filename=["configs/train.yaml", "configs/evaluate.yaml"],
        eval_kwargs={
            **{**common, "validate#dataset#data": [case], "output_dir": str(folder)},
        },
        config_filters_filename=None,
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: folder.name})
    return algo


def test_two_hospitals_average_to_one_network_that_serves_both(
    bundle: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    cases = [case_of(f, factor) for f, factor in zip(folders, (0.05, 0.08), strict=True)]
    hospitals = [hospital(bundle, f, case) for f, case in zip(folders, cases, strict=True)]
    server: Weights = {
        key: tensor.numpy().copy()
        for key, tensor in hospitals[0].trainer.network.state_dict().items()
    }

    def errors() -> list[float]:
        sent = [ExchangeObject(weights=dict(server)) for _ in hospitals]
        reports = [h.evaluate(data) for h, data in zip(hospitals, sent, strict=True)]
        return [float(report.metrics["nrmse_euclid"]) for report in reports]

    before = errors()
    for _ in range(ROUNDS):
        returned = []
        for one in hospitals:
            one.train(ExchangeObject(weights=dict(server)))
            # What is averaged for validation begins at what the server sent, not before it.
            assert int(one.trainer.average.n_averaged) == 10
            weights = one.get_weights().weights
            returned.append({key: tensor.numpy() for key, tensor in weights.items()})
        server = {key: np.mean([r[key] for r in returned], axis=0) for key in server}
    assert hospitals[0].trainer.state.epoch == 10 * ROUNDS
    after = errors()
    for one in hospitals:
        one.finalize()
    assert max(after) < 0.7 * max(before)
    assert np.mean(after) < 0.7 * np.mean(before)


@pytest.mark.parametrize("name", ["hospital.py", "federation.py"])
def test_guide_s_scripts_are_python(bundle: Path, name: str) -> None:
    text = (bundle / "docs" / "federated.md").read_text(encoding="utf-8")
    (code,) = [part for part in text.split("```")[1::2] if part.startswith(f"python\n# {name}")]
    compile(code.removeprefix("python\n"), name, "exec")
