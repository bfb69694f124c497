"""The trainer: who sees what, what is kept, what a resume brings back (traps 4, 9)."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow
from monai.engines import SupervisedTrainer
from scripts.cases import held_out_cases, training_cases, validation_cases
from scripts.checkpoints import Checkpoint, KeepBest, StopEarly
from scripts.errors import BadInput, bad_input_behind
from scripts.fingerprints import Fingerprint, file_sha256, fingerprint, seen_in
from scripts.transforms import SamplingWeightd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

Run = Callable[..., ConfigWorkflow]
SMALL: dict[str, Any] = {
    "network_def__channels": [4, 8],
    "discriminator_def__channels": 4,
    "max_epochs": 2,
    "val_interval": 1,
    "adversarial_start_epoch": 0,
    "patches_per_case": 2,
    "train__dataset__progress": False,
    "validate__dataset__progress": False,
}


@pytest.fixture
def small(small_case: dict[str, str], tmp_path: Path) -> dict[str, Any]:
    """Overrides for a training on plain {image, label} lists that takes a second."""
    return {
        **SMALL,
        "train__dataset__data": [small_case] * 2,
        "validate__dataset__data": [small_case],
        "ckpt_dir": str(tmp_path / "training"),
    }


class Spy(nn.Module):
    """A discriminator that writes down what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.shown: list[tuple[Tensor, Tensor]] = []

    def forward(self, suv: Tensor, dose: Tensor) -> Tensor:
        self.shown.append((suv.detach().clone(), dose.detach().clone()))
        return self.weight * dose


def spied_epoch(workflow: Run, options: dict[str, Any]) -> tuple[Any, Spy]:
    """Train one epoch under a spy; return the trainer and the spy."""
    built = workflow("train", **{**options, "max_epochs": 1})
    built.initialize()
    built.parser["discriminator"] = spy = Spy()
    built.run()
    return built.trainer, spy


def test_discriminator_is_shown_prediction_then_truth_with_their_pet(
    workflow: Run, small: dict[str, Any]
) -> None:
    _, spy = spied_epoch(workflow, small)
    as_generator, fake, real = spy.shown[:3]
    torch.testing.assert_close(real[1], 0.02 * real[0])  # the measured dose of these cases
    assert not torch.allclose(fake[1], real[1])
    torch.testing.assert_close(as_generator[1], fake[1])
    assert torch.equal(fake[0], real[0])


def test_unknown_dose_reaches_neither_loss_nor_discriminator(
    workflow: Run, small: dict[str, Any], small_case: dict[str, str], tmp_path: Path
) -> None:
    grid = nib.Nifti1Image.from_filename(small_case["label"])
    dose = np.asanyarray(grid.dataobj).copy()
    dose[:, :, 20:] = 90.0
    known = np.ones(dose.shape, dtype=np.uint8)
    known[:, :, 20:] = 0
    nib.save(nib.Nifti1Image(dose, grid.affine), tmp_path / "dose.nii.gz")
    nib.save(nib.Nifti1Image(known, grid.affine), tmp_path / "fov.nii.gz")
    case = {**small_case, "fov": str(tmp_path / "fov.nii.gz")}
    trainer, spy = spied_epoch(workflow, {**small, "train__dataset__data": [case]})
    assert trainer.state.output["loss"] < 2.0
    assert max(dose.max() for _, dose in spy.shown) < 50.0


def test_trainer_is_what_the_federated_client_accepts(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    built = run("train", **small)
    assert isinstance(built.trainer, SupervisedTrainer)
    losses = {"loss", "content", "adversarial", "discriminator"}
    assert losses <= set(built.trainer.state.output)
    assert set(built.evaluator.state.metrics) >= {"nrmse_euclid", "nrmse_range", "ssim"}


def test_weight_0_trains_the_plain_network(run: Run, small: dict[str, Any]) -> None:
    built = run("train", **small, adversarial_weight=0)
    before = built.parser.get_parsed_content("discriminator_optimizer").state_dict()["state"]
    assert before == {}
    assert "adversarial" not in built.trainer.state.output


def test_same_seed_gives_the_same_weights_and_another_seed_others(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    states = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        run("train", **{**small, "ckpt_dir": folder, "seed": seed})
        states.append(torch.load(folder / "checkpoint.pt", weights_only=True)["generator"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_outputs_go_to_ckpt_dir_and_never_to_models(
    run: Run, small: dict[str, Any], bundle: Path, tmp_path: Path
) -> None:
    before = (bundle / "models" / "model.pt").read_bytes()
    listing = sorted(path.name for path in bundle.iterdir())
    built = run("train", **small)
    assert (bundle / "models" / "model.pt").read_bytes() == before
    assert sorted(path.name for path in bundle.iterdir()) == listing
    best = torch.load(tmp_path / "training" / "model.pt", weights_only=True)
    assert best.keys() == built.network_def.state_dict().keys()


def test_tensorboard_has_scalars_and_an_image_strip(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    run("train", **small)
    tags: dict[str, set[str]] = {"scalars": set(), "images": set()}
    for path in (tmp_path / "training").glob("events*"):
        events = EventAccumulator(str(path)).Reload().Tags()
        for kind in tags:
            tags[kind] |= set(events[kind])
    assert {"nrmse_euclid", "nrmse_range", "ssim"} <= tags["scalars"]
    assert any("content" in tag for tag in tags["scalars"])
    assert any("PET" in tag and "Gy per GBq" in tag for tag in tags["images"])


NO_PETS: dict[str, dict[str, Fingerprint]] = {"training": {}, "validation": {}}


def validate(best: KeepBest, *errors: float) -> None:
    for error in errors:
        engine = Engine(lambda *_: None)
        engine.state.metrics = {"error": error}
        best(engine)


def test_lowest_error_is_kept_not_the_last_or_the_highest(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    best = KeepBest(network, str(tmp_path / "model.pt"), "error", NO_PETS)
    for error, weight in ((0.5, 1.0), (0.2, 2.0), (0.9, 3.0), (0.3, 4.0), (math.nan, 5.0)):
        nn.init.constant_(network.weight, weight)
        validate(best, error)
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 2.0
    assert best.validations_since == 3


def test_training_stops_after_validations_without_improvement(tmp_path: Path) -> None:
    best = KeepBest(nn.Linear(1, 1), str(tmp_path / "model.pt"), "error", NO_PETS)
    errors = iter([0.5, 0.4, 0.6, 0.7, 0.8, 0.1])
    trainer = Engine(lambda *_: None)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: validate(best, next(errors)))
    StopEarly(best, patience=2).attach(trainer)
    trainer.run([0], max_epochs=6)
    assert trainer.state.epoch == 4


def test_after_a_resume_a_worse_model_does_not_replace_a_better_one(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    path = str(tmp_path / "model.pt")
    first = KeepBest(network, path, "error", NO_PETS)
    nn.init.constant_(network.weight, 1.0)
    validate(first, 0.2)
    engine = Engine(lambda *_: None)
    engine.state.epoch = 7
    file = tmp_path / "checkpoint.pt"
    Checkpoint({"best": first}, str(file), 1, None).save(engine)

    second = KeepBest(network, path, "error", NO_PETS)
    engine = Engine(lambda *_: None)
    engine.state.epoch_length = 3
    Checkpoint({"best": second}, str(file), 1, str(file)).resume(engine)
    assert (engine.state.epoch, engine.state.iteration) == (7, 21)
    nn.init.constant_(network.weight, 2.0)
    validate(second, 0.4)
    assert torch.load(path, weights_only=True)["weight"].item() == 1.0
    validate(second, 0.1)
    assert torch.load(path, weights_only=True)["weight"].item() == 2.0


def test_resumed_training_goes_on_where_it_stopped(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    run("train", **small)
    checkpoint = tmp_path / "training" / "checkpoint.pt"
    before = torch.load(checkpoint, weights_only=True)
    built = run("train", **{**small, "max_epochs": 3, "resume_from": checkpoint})
    assert before["epoch"] == 2
    assert built.trainer.state.epoch == 3
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 3
    assert built.trainer.state.iteration == 3


def test_folder_of_another_training_is_refused_before_any_work(
    run: Run, small: dict[str, Any], small_case: dict[str, str], tmp_path: Path
) -> None:
    run("train", **small)
    folder = tmp_path / "training"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    elsewhere = {"resume_from": tmp_path / "elsewhere" / "checkpoint.pt"}
    run("train", **{**small, "ckpt_dir": tmp_path / "elsewhere"})
    Path(small_case["image"]).unlink()  # whose absence would be told, were it looked for
    for options in ({}, elsewhere):
        with pytest.raises(RuntimeError) as caught:
            run("train", **{**small, **options})
        sentence = str(bad_input_behind(caught.value))
        assert sentence.startswith("ckpt_dir must be a folder without another training")
        assert str(folder) in sentence
        assert "--resume_from" in sentence
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_carry_which_pets_they_have_seen(
    run: Run, small: dict[str, Any], small_case: dict[str, str], tmp_path: Path
) -> None:
    other = nib.Nifti1Image.from_filename(small_case["image"])
    values = np.asanyarray(other.dataobj) * np.float32(1.2)
    nib.save(nib.Nifti1Image(values, other.affine), tmp_path / "other.nii.gz")
    held = {"image": str(tmp_path / "other.nii.gz"), "label": small_case["label"]}
    run("train", **{**small, "validate__dataset__data": [held]})
    told = json.loads((tmp_path / "training" / "model.json").read_text())
    assert told["weights_sha256"] == file_sha256(tmp_path / "training" / "model.pt")
    for case, part in ((small_case, "training"), (held, "validation")):
        pet = nib.Nifti1Image.from_filename(case["image"])
        assert seen_in(fingerprint(pet), told) == part
    # A resume into another folder takes along what was seen before.
    options = {"resume_from": tmp_path / "training" / "checkpoint.pt", "ckpt_dir": tmp_path / "b"}
    run("train", **{**small, **options})
    resumed = json.loads((tmp_path / "b" / "model.json").read_text())
    assert set(resumed["validation"]) >= set(told["validation"])


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", None])
def test_resume_from_another_file_is_refused(
    run: Run, small: dict[str, Any], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "other.pt"
    if content is None:
        torch.save({"x": torch.ones(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(RuntimeError) as caught:
        run("train", **small, resume_from=path)
    cause = bad_input_behind(caught.value)
    assert "other.pt" in str(cause)
    assert "checkpoint.pt" in str(cause)


def patients(cases: list[dict[str, Any]]) -> set[str]:
    return {case["name"].split("/")[0] for case in cases}


def test_cohort_splits_by_patient(cohort: Path) -> None:
    listed = json.loads((cohort / "datalist.json").read_text())
    folds = {case["fold"] for case in listed["training"]}
    for fold in folds:
        train = patients(training_cases(str(cohort), fold))
        validate_ = patients(validation_cases(str(cohort), fold))
        test = patients(held_out_cases(str(cohort)))
        assert train
        assert validate_
        assert not train & validate_
        assert not (train | validate_) & test


def test_leaking_folds_are_refused(cohort: Path, tmp_path: Path) -> None:
    listed = json.loads((cohort / "datalist.json").read_text())
    case = listed["training"][0]
    listed["training"] = [case, {**case, "cycle": 2, "fold": case["fold"] + 1}]
    (tmp_path / "datalist.json").write_text(json.dumps(listed))
    with pytest.raises(BadInput, match=f"patient {case['patient']} must be in one fold"):
        training_cases(str(tmp_path), 0)


def test_image_and_label_are_all_that_a_datalist_needs(
    run: Run, small_case: dict[str, str], tmp_path: Path
) -> None:
    listed = {"image": "pet.nii.gz", "label": "dose.nii.gz"}
    content = {"training": [{**listed, "fold": 1}, {**listed, "fold": 0}]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    run("train", **SMALL, dataset_dir=tmp_path, ckpt_dir=tmp_path / "training")
    assert (tmp_path / "training" / "model.pt").is_file()


def test_patient_s_name_cannot_leave_the_output_folder(tmp_path: Path) -> None:
    case = {"image": "x", "label": "y", "patient": "../../x", "cycle": 1, "fold": 0}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [case], "testing": []}))
    with pytest.raises(BadInput, match="letters, digits"):
        training_cases(str(tmp_path), 1)


@pytest.mark.parametrize("cycle", [-1, 0, 1.5, "1", True, None])
def test_cycle_that_is_no_number_from_1_on_is_named(tmp_path: Path, cycle: object) -> None:
    case = {"image": "x", "label": "y", "patient": "P1", "cycle": cycle, "fold": 0}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [case]}))
    with pytest.raises(BadInput, match=f"a cycle must be a whole number from 1 on, got {cycle!r}"):
        training_cases(str(tmp_path), 1)


@pytest.mark.parametrize("key", ["image", "label", "organs", "fov"])
@pytest.mark.parametrize("listed", ["../pet.nii.gz", "P1/../../pet.nii.gz", "/", "link", "dir/x"])
def test_file_outside_the_cohort_folder_is_refused(tmp_path: Path, key: str, listed: str) -> None:
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (tmp_path / "pet.nii.gz").touch()
    (cohort / "link").symlink_to(tmp_path / "pet.nii.gz")
    (cohort / "dir").symlink_to(tmp_path)
    outside = str(tmp_path / "pet.nii.gz") if listed == "/" else listed
    case = {"image": "pet.nii.gz", "label": "dose.nii.gz", "fold": 0}
    (cohort / "datalist.json").write_text(json.dumps({"training": [{**case, key: outside}]}))
    with pytest.raises(BadInput, match=f"every {key} must lie in the cohort folder"):
        training_cases(str(cohort), 1)
    (tmp_path / "other").symlink_to(cohort)  # the folder itself may be a link
    (cohort / "datalist.json").write_text(json.dumps({"training": [case]}))
    assert len(training_cases(str(tmp_path / "other"), 1)) == 1


def test_cycle_listed_twice_is_refused(tmp_path: Path) -> None:
    case = {"image": "x", "label": "y", "patient": "P1", "cycle": 1, "fold": 0}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [case, case]}))
    with pytest.raises(BadInput, match="P1/C1 once"):
        training_cases(str(tmp_path), 1)


class Constant(nn.Module):
    """An adversarial loss that is 2 for the generator and has a gradient."""

    def forward(
        self, logits: Tensor, target_is_real: bool, for_discriminator: bool = True
    ) -> Tensor:
        return 0.0 * logits.mean() + (1.0 if for_discriminator else 2.0)


def test_generator_s_loss_is_content_plus_weighted_adversarial(
    workflow: Run, small: dict[str, Any]
) -> None:
    built = workflow("train", **{**small, "max_epochs": 1}, adversarial_weight=0.25)
    built.initialize()
    built.parser["adversarial_loss"] = Constant()
    built.run()
    output = built.trainer.state.output
    assert output["loss"].item() == pytest.approx(output["content"].item() + 0.25 * 2.0)


def test_discriminator_waits_for_its_epoch_and_moves_the_generator_after_it(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    states = {}
    for start in (1, 2):
        folder = tmp_path / str(start)
        options = {**small, "ckpt_dir": folder, "adversarial_start_epoch": start}
        built = run("train", **options, adversarial_weight=1.0)
        assert ("adversarial" in built.trainer.state.output) == (start < 2)
        states[start] = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert states[2]["discriminator_optimizer"]["state"] == {}
    assert states[1]["discriminator_optimizer"]["state"] != {}
    # The first epoch is the same in both; in the second only one has the adversarial term.
    moved = [key for key in states[1]["generator"] if "weight" in key]
    assert any(
        not torch.equal(states[1]["generator"][key], states[2]["generator"][key]) for key in moved
    )


def test_judging_the_generator_leaves_the_discriminator_s_gradients_alone(
    workflow: Run, small: dict[str, Any]
) -> None:
    trainer, spy = spied_epoch(workflow, small)
    spy.zero_grad(set_to_none=True)
    patch = torch.rand(1, 1, 8, 8, 8, requires_grad=True)
    losses = trainer._generator_losses(patch, patch.detach(), patch.detach(), torch.ones(1))
    losses["loss"].backward()
    assert patch.grad is not None
    assert spy.weight.grad is None
    assert spy.weight.requires_grad


def test_resume_brings_back_networks_optimisers_and_schedule(
    run: Run, workflow: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    run("train", **small)
    saved = torch.load(tmp_path / "training" / "checkpoint.pt", weights_only=True)
    built = workflow("train", **{**small, "max_epochs": 4})
    built.initialize()
    trainer = built.trainer
    handlers = built.parser.get_parsed_content("train#handlers")
    checkpoint = next(handler for handler in handlers if isinstance(handler, Checkpoint))
    checkpoint.resume_from = str(tmp_path / "training" / "checkpoint.pt")
    checkpoint.resume(trainer)
    for name in ("generator", "discriminator"):
        restored = checkpoint.objects[name].state_dict()
        assert all(torch.equal(restored[key], value) for key, value in saved[name].items())
    restored = trainer.optimizer.state_dict()["state"]
    for number, state in saved["optimizer"]["state"].items():
        assert torch.equal(restored[number]["exp_avg"], state["exp_avg"])
    # Half of the prolonged cosine lies ahead; the shorter one had ended at 0.
    schedule = checkpoint.objects["lr_scheduler"]
    assert schedule.last_epoch == 2
    assert schedule.t_total == 4
    assert trainer.optimizer.param_groups[0]["lr"] > 0


def test_last_epoch_is_validated_and_saved_whatever_the_interval(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    run("train", **{**small, "max_epochs": 3, "val_interval": 2})
    assert torch.load(tmp_path / "training" / "checkpoint.pt", weights_only=True)["epoch"] == 3
    run("train", **{**small, "max_epochs": 1, "val_interval": 5, "ckpt_dir": tmp_path / "one"})
    assert (tmp_path / "one" / "model.pt").is_file()


def test_resume_into_another_folder_takes_the_best_along(
    run: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    run("train", **small)
    best = torch.load(tmp_path / "training" / "model.pt", weights_only=True)
    options = {**small, "resume_from": tmp_path / "training" / "checkpoint.pt"}
    run("train", **{**options, "ckpt_dir": tmp_path / "other"})  # no epoch is left to train
    other = torch.load(tmp_path / "other" / "model.pt", weights_only=True)
    assert all(torch.equal(best[key], other[key]) for key in best)


def test_patches_are_centred_where_uptake_is_high() -> None:
    label = torch.ones(1, 2, 2, 2)
    label[0, 0] = torch.nan
    suv = torch.zeros(1, 2, 2, 2)
    suv[0, 1, 1, 1] = 100.0
    weight = SamplingWeightd(max_suv=10.0)({"image": suv, "label": label})["sampling"]
    assert weight[0, 0].sum() == 0
    assert weight[0, 1, 0, 0] == 1.0
    assert weight[0, 1, 1, 1] == 11.0


def test_unknown_dose_does_not_leak_by_resampling(
    workflow: Run, small: dict[str, Any], tmp_path: Path
) -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    dose = np.ones((40, 40, 40), np.float32)
    dose[:, :, 20:] = 50.0
    known = np.ones(dose.shape, np.uint8)
    known[:, :, 20:] = 0
    case = {}
    for key, data in {"image": np.ones_like(dose), "label": dose, "fov": known}.items():
        case[key] = str(tmp_path / f"{key}.nii.gz")
        nib.save(nib.Nifti1Image(data, affine), case[key])
    built = workflow("train", **{**small, "validate__dataset__data": [case]})
    built.initialize()
    label = built.val_dataset[0]["label"]
    assert label[label.isfinite()].max() == pytest.approx(1.0, abs=1e-5)
    assert label.isfinite().sum() > 0.35 * label.numel()
