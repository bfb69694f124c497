"""What runs the network instead of torch: the same map, or one sentence where it is absent."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.handlers import TrtHandler
from monai.networks.utils import convert_to_onnx
from scripts import backends
from scripts.backends import Backend, OpenVinoNetwork
from scripts.errors import BadInput, bad_input_behind
from scripts.networks import DoseGenerator
from scripts.weights import GeneratorCheckpointLoader

Run = Callable[..., ConfigWorkflow]


@pytest.fixture
def openvino() -> Any:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is an optional backend")
    return backends._openvino()


@torch.no_grad()
def test_openvino_gives_torch_s_dose_for_any_size(openvino: Any, shipped: DoseGenerator) -> None:
    network = OpenVinoNetwork(shipped)
    for shape in ((24, 20, 32), (13, 17, 22)):
        suv = torch.rand(1, 1, *shape) * 20
        expected = shipped(suv)
        assert (network(suv) - expected).abs().max() < 1e-5 * expected.max()
    assert network(-suv).isnan().all()  # it cannot raise; the map is refused where it is written


def test_openvino_writes_the_default_s_map_and_says_so(
    openvino: Any, run: Run, pet: Path, tmp_path: Path
) -> None:
    maps = []
    for name in ("torch", "openvino"):
        run("inference", image=pet, output_dir=tmp_path / name, backend=name)
        content = json.loads((tmp_path / name / "dose.json").read_text())
        assert content["provenance"]["parameters"]["backend"] == name
        maps.append(np.asanyarray(nib.load(tmp_path / name / "dose.nii.gz").dataobj))
    assert abs(maps[1] - maps[0]).max() < 1e-5 * maps[0].max()


def test_openvino_does_not_report_its_use(openvino: Any) -> None:
    """Its module for that sends over the network without asking."""
    assert sys.modules["openvino_telemetry"] is None
    assert openvino.tools.ovc.telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True, reason="0.3 % off in the kidneys' means: so bfloat16 is not to be had"
)
def test_bfloat16_keeps_organ_means_to_a_thousandth(
    openvino: Any, shipped: DoseGenerator, cohort: Path
) -> None:
    core = openvino.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.xfail("this processor has no bfloat16")
    model = openvino.convert_model(shipped, example_input=torch.ones(1, 1, 8, 8, 8))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    folder = cohort / "P001" / "C1"
    suv = np.asanyarray(nib.load(folder / "pet.nii.gz").dataobj)[None, None]
    organs = np.asanyarray(nib.load(folder / "organs.nii.gz").dataobj)
    with torch.no_grad():
        expected = shipped(torch.as_tensor(suv)).numpy()[0, 0]
    dose = compiled(suv)[0][0, 0]
    for organ in (1, 2, 3, 5):
        here = organs == organ
        if here.any():
            assert dose[here].mean() == pytest.approx(expected[here].mean(), rel=1e-3)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        known = name in ("openvino", "tensorrt", "polygraphy")
        return None if known else importlib.util.find_spec(name)

    monkeypatch.setattr(backends, "find_spec", absent)


@pytest.mark.usefixtures("nothing_installed")
def test_a_backend_that_is_asked_for_and_absent_is_refused(
    run: Run, pet: Path, tmp_path: Path
) -> None:
    for name, options, words in (
        ("inference", {"backend": "openvino"}, "Run `pip install openvino`"),
        ("inference+inference_trt", {}, "tensorrt and polygraphy are missing"),
    ):
        with pytest.raises(RuntimeError) as caught:
            run(name, image=pet, output_dir=tmp_path / "out", **options)
        sentence = str(bad_input_behind(caught.value))
        assert "must be installed to be the backend" in sentence
        assert words in sentence
    assert not (tmp_path / "out").exists()


def test_an_unknown_backend_is_refused(shipped: DoseGenerator) -> None:
    with pytest.raises(BadInput, match="backend must be one of torch, openvino, got 'onnx'"):
        Backend(shipped, "onnx")


def test_tensorrt_is_monai_s_handler_after_the_weights(workflow: Run) -> None:
    built = workflow("inference+inference_trt")
    built.initialize()
    handlers = built.parser.get_parsed_content("handlers")
    (trt,) = [handler for handler in handlers if isinstance(handler, TrtHandler)]
    assert trt.model is built.parser.get_parsed_content("network")
    assert trt.args["precision"] == "fp32"
    kinds = [type(handler) for handler in handlers]
    assert kinds.index(GeneratorCheckpointLoader) < kinds.index(TrtHandler)
    (profile,) = trt.args["input_profiles"]
    assert list(profile) == ["suv"]  # the network's own name of its input
    least, usual, largest = np.array(profile["suv"])
    assert (least <= usual).all()
    assert (usual <= largest).all()


@pytest.mark.slow
@torch.no_grad()
def test_what_tensorrt_would_be_given_predicts_the_same(shipped: DoseGenerator) -> None:
    """The ONNX that MONAI's handler makes, run by ONNX Runtime on another size."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = convert_to_onnx(
        shipped,
        [torch.ones(1, 1, 8, 8, 8)],
        input_names=["suv"],
        output_names=["dose"],
        dynamic_axes={"suv": {2: "x", 3: "y", 4: "z"}},
    )
    session = runtime.InferenceSession(model.SerializeToString())
    suv = torch.rand(1, 1, 24, 20, 32) * 20
    (dose,) = session.run(None, {"suv": suv.numpy()})
    torch.testing.assert_close(torch.as_tensor(dose), shipped(suv), rtol=1e-4, atol=1e-6)
