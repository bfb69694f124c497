"""``STUDY.yaml``: the example holds, and each fault is one sentence that names its place."""

import copy

import pytest
import yaml
from helpers.commands import refused
from rpt_cohort import BadInput
from rpt_dosimetry.ingest.study import EXAMPLE, read_study

MINIMAL = {
    "name": "synthetic",
    "engine": "local",
    "cycles": [
        {
            "patient": "P001",
            "cycle": 1,
            "therapy": "177Lu-PSMA-617",
            "administered_mbq": 7400,
            "pet": {"folder": "Doe/pet"},
            "spect": [{"folder": "Doe/spect"}],
        }
    ],
}


def test_the_example_is_a_study(command) -> None:
    study = read_study(EXAMPLE)
    assert study.cycles[0].name == "P001/C1"
    assert len(study.cycles[0].spect) == 3
    ended = command("ingest", "--example")
    assert ended.status == 0
    assert ended.out == EXAMPLE.read_text()


def test_every_key_stands_in_the_example() -> None:
    """What the schema knows and the example does not show, nobody finds."""
    text = EXAMPLE.read_text()
    study = read_study(EXAMPLE)
    cycle = study.cycles[0]
    for holder in (study, cycle, cycle.pet, cycle.spect[0], cycle.organs):
        for key in type(holder).model_fields:
            assert f"{key}:" in text or f"{key}, " in text or f"{key} and" in text, key


def test_defaults(tmp_path) -> None:
    study = read_study(write(tmp_path, MINIMAL))
    assert (study.model, study.voxel_curve, study.slice_voxels) == ("auto", "organ", 128)
    assert (study.cycles[0].residual_mbq, study.cycles[0].pet.start) == (0, "search")


def write(folder, content):
    path = folder / "STUDY.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("cycles", 0, "administered_mbq"), -1, "cycles.0.administered_mbq: Input should be gre"),
        (("cycles", 0, "administered_mbq"), "7400", "cycles.0.administered_mbq: Input should be a"),
        (("cycles", 0, "patient"), "Jane Doe", "cycles.0.patient: String should match"),
        (("cycles", 0, "spect", 0, "time_h"), 0, "cycles.0.spect.0.time_h: Input should be great"),
        (("cycles", 0, "spect", 0, "times"), 0, "cycles.0.spect.0.times: Extra inputs are not"),
        (("cycles", 0, "spect"), [], "cycles.0.spect: List should have at least 1 item"),
        (("cycles", 0, "therapy"), "Lu", "cycles.0.therapy: Input should be '177Lu-PSMA-I&T' or"),
        (("cycles",), [], "cycles: List should have at least 1 item"),
        (("engine",), "mc", "engine: Input should be 'local' or 'vsv'"),
        (("model",), "tri", "model: Input should be 'auto', 'physical', 'mono', 'bi_population'"),
        (("fwhm_mm",), 60, "fwhm_mm: Input should be less than or equal to 50, got 60"),
        (("testing",), ["P009"], "testing names P009, of whom cycles has none"),
        (("folds",), 1, "folds: Input should be greater than or equal to 2"),
    ],
)
def test_faults_name_their_place(tmp_path, place, value, sentence) -> None:
    content = copy.deepcopy(MINIMAL)
    holder = content
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    with pytest.raises(BadInput) as refused:
        read_study(write(tmp_path, content))
    assert f"STUDY.yaml: {sentence}" in str(refused.value)
    assert "Doe" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_cycle_listed_twice(tmp_path) -> None:
    content = MINIMAL | {"cycles": MINIMAL["cycles"] * 2}
    with pytest.raises(BadInput, match="must list P001/C1 once"):
        read_study(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("name: a\nname: b\n", "every key once, and at line 2 it is not"),
        ("name: [a\n", "must be YAML"),
        ("", "STUDY.yaml: Input should be a valid dictionary"),
        ("a: !!python/object:os.system {}\n", "must be YAML"),
    ],
)
def test_no_study(tmp_path, content, sentence) -> None:
    with pytest.raises(BadInput, match=sentence):
        read_study(write(tmp_path, content))


def test_arguments(command, tmp_path) -> None:
    ended = command("ingest", "--out", tmp_path / "out")
    refused(ended, "STUDY.yaml and --out COHORT must be given")
    ended = command("ingest", tmp_path / "none.yaml", "--out", tmp_path / "out")
    refused(
        ended,
        "The study must be a readable YAML file",
        f"there is no file '{tmp_path / 'none.yaml'}'",
    )
