"""A training that was killed is, once resumed, the training that was not."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow
from scripts.averaging import averaged
from scripts.chance import EpochSampler, seed_of
from scripts.checkpoints import KeepBest
from scripts.curves import read_curves
from scripts.errors import bad_input_behind
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

Run = Callable[..., ConfigWorkflow]
SMALL: dict[str, Any] = {
    "network_def#channels": [4, 8],
    "discriminator_def#channels": 4,
    "discriminator_def#layers": 1,
    "patch_size": [16, 16, 16],
    "max_epochs": 6,
    "val_interval": 2,
    "adversarial_start_epoch": 1,
    "patches_per_case": 2,
    "batch_cases": 2,
}


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five patients of 24³ voxels, {image, label, organs}: four to train on, and one."""
    folder = tmp_path_factory.mktemp("patients")
    rng, affine = np.random.default_rng(0), np.diag([4.8, 4.8, 4.8, 1.0])
    listed = []
    for number in range(5):
        suv = rng.gamma(2.0, 2.0, (24, 24, 24)).astype(np.float32)
        organs = np.full(suv.shape, 199, np.uint8)
        organs[4:20, 4:20, 4:20] = 5
        files = {"image": suv, "label": 0.02 * suv**0.8, "organs": organs}
        for key, data in files.items():
            nib.save(nib.Nifti1Image(data, affine), folder / f"{key}{number}.nii.gz")
        names = {key: f"{key}{number}.nii.gz" for key in files}
        listed.append({**names, "patient": f"P{number}", "cycle": 1, "fold": int(number < 4)})
    (folder / "datalist.json").write_text(json.dumps({"training": listed, "testing": []}))
    return folder


@pytest.fixture
def train(run: Run, patients: Path, tmp_path: Path) -> Run:
    """Train on the patients into a folder below ``tmp_path``: ``train("name", …)``."""

    def build_and_run(name: str, **options: Any) -> ConfigWorkflow:
        quiet = {"train#dataset#progress": False, "validate#dataset#progress": False}
        whole = {**SMALL, **quiet, "dataset_dir": patients, "ckpt_dir": tmp_path / name}
        return run("train", **{**whole, **options})

    return build_and_run


def same(one: Path, other: Path) -> None:
    """Assert that two trainings have the same curves and the same state."""
    rows, others = read_curves(one / "curves.csv"), read_curves(other / "curves.csv")
    assert [row.keys() for row in rows] == [row.keys() for row in others]
    for row, other_row in zip(rows, others, strict=True):
        assert row == pytest.approx(other_row, rel=1e-5)
    states = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (one, other)]
    for key in ("generator", "discriminator", "average"):
        for name, tensor in states[0][key].items():
            torch.testing.assert_close(tensor, states[1][key][name], rtol=1e-5, atol=1e-7)


class Killed(Exception):
    """Stands for a kill within this process."""


def killed_at(workflow: Run, step: int, **options: Any) -> None:
    """Train until a step, and leave off in its midst."""
    built = workflow(
        "train", **{k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    )
    built.initialize()

    @built.trainer.on(Events.ITERATION_STARTED(once=step))
    def kill() -> None:
        raise Killed

    with pytest.raises(RuntimeError):
        built.run()
    built.finalize()


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_training_goes_on_as_if_it_had_not_been(
    workflow: Run, train: Run, patients: Path, tmp_path: Path, num_workers: int
) -> None:
    train("whole")
    folder = tmp_path / "killed"
    options = {**SMALL, "dataset_dir": patients, "ckpt_dir": folder, "seed": 0}
    options = {**options, "train#dataset#progress": False, "validate#dataset#progress": False}
    killed_at(workflow, 8, **options, num_workers=num_workers)  # the second step of epoch 4
    assert len(read_curves(folder / "curves.csv")) == 3
    np.random.default_rng()
    torch.manual_seed(99)  # whatever the next process begins with
    train("killed", resume_from=folder / "checkpoint.pt", num_workers=num_workers)
    same(tmp_path / "whole", folder)


def test_resume_goes_on_with_the_seed_that_the_training_began_with(
    train: Run, tmp_path: Path
) -> None:
    train("whole", seed=3, max_epochs=3, warmup_epochs=0)
    checkpoint = tmp_path / "whole" / "checkpoint.pt"
    ends = []
    for seed in (3, 4):
        train(str(seed), seed=seed, max_epochs=4, warmup_epochs=0, resume_from=checkpoint)
        ends.append(tmp_path / str(seed))
    same(*ends)


@pytest.mark.slow
def test_sigkill_at_five_random_moments_leaves_the_loss_curve_as_it_was(
    bundle: Path, patients: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "monai.bundle", "run", "training", "--bundle_root", str(bundle)]
    words += ["--config_file", str(bundle / "configs" / "train.yaml")]
    words += ["--dataset_dir", str(patients)]
    options = {**SMALL, "max_epochs": 120, "val_interval": 10}
    words += [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def start(folder: Path) -> subprocess.Popen[bytes]:
        checkpoint = folder / "checkpoint.pt"
        resume = ["--resume_from", str(checkpoint)] if checkpoint.exists() else []
        command = [*words, "--ckpt_dir", str(folder), *resume]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait() == 0
    moments = random.Random(0)
    for _ in range(5):
        process = start(killed)
        before = (killed / "checkpoint.pt").stat().st_mtime if killed.exists() else 0.0
        while process.poll() is None:  # into the training, then anywhere within its epochs
            checkpoint = killed / "checkpoint.pt"
            if checkpoint.exists() and checkpoint.stat().st_mtime > before:
                break
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it had ended: the kill says nothing"
    assert start(killed).wait() == 0
    same(whole, killed)


def test_finished_training_says_so_and_leaves_all_as_it_is(
    train: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train("a", val_interval=4)
    folder = tmp_path / "a"
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".pt", ".csv")}
    with caplog.at_level("INFO"):
        train("a", val_interval=4, resume_from=folder / "checkpoint.pt")
    assert "This training is finished: all its 6 epochs are done" in caplog.text
    assert str(folder / "model.pt") in caplog.text
    assert {
        p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".pt", ".csv")
    } == before


def test_training_that_had_stopped_early_does_not_go_on_by_itself(
    train: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"val_interval": 1, "patience": 1, "learning_rate": 0.0, "adversarial_weight": 0}
    train("a", **options)
    checkpoint = tmp_path / "a" / "checkpoint.pt"
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2
    with caplog.at_level("INFO"):
        train("a", **options, resume_from=checkpoint)
    assert "stopping at epoch 2 of 6" in caplog.text
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2


def test_better_model_written_after_the_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    """A kill between the two leaves a model.pt that is ahead of the checkpoint."""
    pets: dict[str, Any] = {"training": {}, "validation": {}}
    network = nn.Linear(1, 1)
    best = KeepBest(network, str(tmp_path / "model.pt"), "error", pets)
    engine = Engine(lambda *_: None)
    for error in (0.5, 0.2):
        engine.state.metrics = {"error": error}
        nn.init.constant_(network.weight, error)
        best(engine)
        if error == 0.5:
            state = best.state_dict()
    again = KeepBest(network, str(tmp_path / "model.pt"), "error", pets)
    again.load_state_dict(state)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == pytest.approx(
        0.2
    )


def refusal(train: Run, *words: Any, **options: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        train(*words, **options)
    return str(bad_input_behind(caught.value))


def test_checkpoint_of_another_architecture_or_cut_short_is_refused(
    train: Run, tmp_path: Path
) -> None:
    train("a", max_epochs=1)
    checkpoint = tmp_path / "a" / "checkpoint.pt"
    sentence = refusal(train, "b", resume_from=checkpoint, **{"network_def#channels": [4, 8, 16]})
    assert "of the same networks" in sentence
    assert "'generator' is of another architecture" in sentence
    assert "network_def#channels" in sentence
    cut = tmp_path / "cut.pt"
    cut.write_bytes(checkpoint.read_bytes()[:-1000])
    assert "cut.pt must load with weights_only=True" in refusal(train, "b", resume_from=cut)
    assert not (tmp_path / "b" / "model.pt").exists()


def test_loss_that_is_not_finite_stops_with_the_batch_named_and_the_checkpoint_kept(
    workflow: Run, train: Run, patients: Path, tmp_path: Path
) -> None:
    train("a", max_epochs=2)
    checkpoint = tmp_path / "a" / "checkpoint.pt"
    kept = {p: p.read_bytes() for p in (checkpoint, checkpoint.with_name("model.pt"))}
    sentence = refusal(train, "a", resume_from=checkpoint, **{"loss#dose_scale": float("inf")})
    assert "Loss and gradient must be finite" in sentence
    assert "image" in sentence
    assert ".nii.gz" in sentence
    assert "(epoch 3, step 5)" in sentence
    assert "--resume_from" in sentence
    assert {p: p.read_bytes() for p in kept} == kept


def test_batch_of_several_cases_is_one_step_by_accumulation(train: Run, tmp_path: Path) -> None:
    """Everywhere the dose is known: then the mean over batches is the mean over the whole."""
    options = {"max_epochs": 2, "adversarial_weight": 0, "organ_weight": 0}
    train("whole", **options)
    train("pieces", **options, batch_cases=1, accumulation_steps=2)
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "pieces")
    ]
    assert states[0]["optimizer"]["state"][0]["step"] == states[1]["optimizer"]["state"][0]["step"]
    for key, tensor in states[0]["generator"].items():
        torch.testing.assert_close(tensor, states[1]["generator"][key], rtol=1e-3, atol=1e-5)


def test_average_is_what_is_validated_and_kept(train: Run, tmp_path: Path) -> None:
    built = train("a", val_interval=6)
    state = torch.load(tmp_path / "a" / "checkpoint.pt", weights_only=True)
    best = torch.load(tmp_path / "a" / "model.pt", weights_only=True)
    for key, tensor in best.items():
        assert torch.equal(tensor, state["average"][f"module.{key}"])
    assert any(not torch.equal(best[key], state["generator"][key]) for key in best)
    assert built.evaluator.network is built.trainer.average.module


def test_average_of_known_weights_begins_at_the_first_and_lags_less_when_young() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, decay=0.9)
    expected = None
    for step, value in enumerate((1.0, 2.0, 3.0)):
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected)


def test_one_event_file_a_run_by_epoch_with_learning_rate_and_pictures(
    train: Run, tmp_path: Path
) -> None:
    train("a")
    (file,) = (tmp_path / "a").glob("events*")
    events = EventAccumulator(str(file)).Reload()
    for name in ("loss", "content", "organ", "learning_rate"):
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("nrmse_euclid")] == [2, 4, 6]
    (tag,) = events.Tags()["images"]
    picture = events.Images(tag)[-1]
    assert (picture.step, picture.height >= 480) == (6, True)


def test_curves_are_a_table_and_a_picture_beside_the_checkpoint(train: Run, tmp_path: Path) -> None:
    train("a")
    with (tmp_path / "a" / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert float(rows[0]["learning_rate"]) < float(rows[2]["learning_rate"])
    assert rows[0]["adversarial"] == ""
    assert float(rows[1]["adversarial"]) > 0
    assert rows[0]["nrmse_euclid"] == ""
    assert float(rows[1]["nrmse_euclid"]) > 0
    assert (tmp_path / "a" / "curves.png").stat().st_size > 10_000


def test_console_says_one_line_a_validation(train: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        train("a")
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("scripts")]
    assert [line.split(":")[0] for line in lines] == ["epoch 2", "epoch 4", "epoch 6"]
    assert "nrmse_euclid" in lines[0]
    assert "kept in model.pt" in lines[0]


def test_epoch_s_order_is_a_permutation_filled_up_to_whole_batches() -> None:
    class Cases(list):  # type: ignore[type-arg]
        epoch_seed = 0

    cases = Cases(range(5))
    sampler = EpochSampler(cases, batch_cases=2, seed=0)
    orders = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert cases.epoch_seed == seed_of(0, epoch)
    assert len(sampler) == 6
    assert all(set(order) == set(range(5)) for order in orders)
    assert orders[0] != orders[1]


def test_dataset_keeps_what_does_not_draw_and_draws_by_epoch_and_case(
    workflow: Run, patients: Path, tmp_path: Path
) -> None:
    """MONAI caches nothing behind a Compose within a Compose."""
    options = {**SMALL, "dataset_dir": str(patients), "ckpt_dir": str(tmp_path)}
    built = workflow("train", **options, train__dataset__progress=False)
    built.initialize()
    dataset = built.train_dataset
    kept = dataset._cache[0]
    assert kept["image"].shape == kept["organs"].shape == (1, 24, 24, 24)
    assert (type(kept["image"]), kept["organs"].dtype) == (torch.Tensor, torch.uint8)
    drawn = []
    for epoch, case in ((1, 0), (1, 1), (2, 0), (1, 0)):
        dataset.epoch_seed = seed_of(0, epoch)
        drawn.append(dataset[case][0]["image"])
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert dataset[0][0]["title"] == "image0.nii.gz"
