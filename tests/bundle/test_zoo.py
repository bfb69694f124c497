"""What the model zoo, MONAI Label, MONAI Deploy and the federated client look for."""

import ast
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_net_in_out
from monai.data import load_net_with_metadata
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

Run = Callable[..., ConfigWorkflow]

# The mandatory keys of MONAI's bundle specification; fetching its schema needs a network.
MANDATORY = {
    *("version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
    *("required_packages_version", "task", "description", "authors", "copyright"),
    "network_data_format",
}
TENSOR = {
    *("type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range"),
    *("is_patch_data", "channel_def"),
}
SHIPPED_YAML = (
    *("train", "evaluate", "inference", "inference_tiled", "inference_trt"),
    *("cross_validate", "multi_gpu_train", "multi_gpu_evaluate"),
)


@pytest.fixture(scope="module")
def metadata(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "configs" / "metadata.json").read_text())
    return content


def test_metadata_has_every_mandatory_key(metadata: dict[str, Any]) -> None:
    assert set(metadata) >= MANDATORY
    assert metadata["version"] in metadata["changelog"]
    data = metadata["network_data_format"]
    assert set(data["inputs"]) == {"image"}
    assert set(data["outputs"]) == {"pred"}
    assert set(data["inputs"]["image"]) >= TENSOR
    assert set(data["outputs"]["pred"]) >= TENSOR


def test_metadata_is_indented_by_4(bundle: Path, metadata: dict[str, Any]) -> None:
    text = (bundle / "configs" / "metadata.json").read_text()
    assert re.match(r'\{\n {4}"', text)
    assert text.endswith("}\n")


def test_files_that_the_zoo_wants_are_there(bundle: Path) -> None:
    for name in ("LICENSE", "models/model.pt", "configs/inference.yaml", "docs/README.md"):
        assert (bundle / name).is_file(), name
    assert "Apache License" in (bundle / "LICENSE").read_text()
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 25e6
    texts = [path for path in files if path.suffix in {".yaml", ".json", ".md", ".py", ".conf"}]
    for path in texts:
        assert not re.search(r"/(home|Users|root)/|[A-Z]:\\", path.read_text()), path


def test_model_is_a_plain_state_dict(bundle: Path) -> None:
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())


@pytest.mark.parametrize("config", ["inference", "train"])
@pytest.mark.parametrize("multiple", [2, 4])
def test_network_takes_and_gives_what_the_metadata_says(
    bundle: Path, config: str, multiple: int
) -> None:
    arguments = {
        "net_id": "network_def",
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / f"{config}.yaml"),
        "n": multiple,
    }
    verify_net_in_out(**arguments)  # raises where network and metadata differ, as here:
    other = {"_meta_#network_data_format#outputs#pred#num_channels": 2}
    with pytest.raises(ValueError, match="output channel number `1`"):
        verify_net_in_out(**arguments, **other)


def test_export_to_torchscript_predicts_the_same(bundle: Path, tmp_path: Path) -> None:
    configs = bundle / "configs"
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.yaml"),
    )
    scripted, metadata, extra = load_net_with_metadata(
        str(tmp_path / "model.ts"), more_extra_files=["inference.json"]
    )
    parser = ConfigParser()
    parser.read_config(str(configs / "inference.yaml"))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    suv = torch.rand(1, 1, 16, 16, 16) * 10
    with torch.no_grad():
        torch.testing.assert_close(scripted.eval()(suv), network.eval()(suv))
    assert metadata["network_data_format"]["inputs"]["image"]["format"] == "suv"
    assert "preprocessing" in json.loads(extra["inference.json"])


@pytest.mark.parametrize(
    "name",
    [
        *("train", "train+evaluate", "inference"),
        *("inference+inference_tiled", "inference+inference_trt"),
    ],
)
def test_check_properties_is_empty_without_any_data(workflow: Run, name: str) -> None:
    built = workflow(name)
    built.initialize()
    assert built.check_properties() == []


def test_ids_that_others_look_for(bundle: Path) -> None:
    inference = ConfigParser.load_config_file(str(bundle / "configs" / "inference.yaml"))
    label = {"network_def", "preprocessing", "postprocessing", "inferer", "network", "device"}
    assert set(inference) >= label | {"dataset", "evaluator", "run", "initialize", "finalize"}
    train = ConfigParser.load_config_file(str(bundle / "configs" / "train.yaml"))
    assert train["training"] == "@run"
    assert set(train) >= {"network", "device", "ckpt_dir", "dataset_dir", "bundle_root"}
    assert set(train["train"]) >= {"trainer", "dataset", "inferer", "handlers", "preprocessing"}
    assert set(train["validate"]) >= {"evaluator", "dataset", "inferer", "key_metric", "handlers"}


def targets(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["_target_"]} if "_target_" in node else set()
        return own.union(*map(targets, node.values()))
    return set().union(*map(targets, node)) if isinstance(node, list) else set()


def test_what_deploy_parses_is_pure_monai(bundle: Path) -> None:
    inference = ConfigParser.load_config_file(str(bundle / "configs" / "inference.yaml"))
    parts = [inference[key] for key in ("preprocessing", "inferer", "postprocessing")]
    assert not [name for name in targets(parts) if "." in name]


def strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in strings(value)]
    return [node] if isinstance(node, str) else []


@pytest.mark.parametrize("name", SHIPPED_YAML)
def test_expressions_are_short_and_without_logic(bundle: Path, name: str) -> None:
    content = yaml.safe_load((bundle / "configs" / f"{name}.yaml").read_text())
    expressions = [text for text in strings(content) if text.startswith("$")]
    assert expressions
    for text in expressions:
        assert len(text) <= 80, text
        assert not re.search(r"\blambda\b|\bfor\b", text), text


def test_training_and_inference_agree_on_the_network(bundle: Path) -> None:
    parsed = []
    for name in ("train", "inference"):
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs" / f"{name}.yaml"))
        parsed.append((parser.get_parsed_content("network_def"), parser.get("spacing_mm")))
    (one, spacing), (other, other_spacing) = parsed
    assert spacing == other_spacing
    assert repr(one) == repr(other)
    for key, value in vars(one).items():
        if isinstance(value, float):
            assert value == getattr(other, key), key
    assert torch.equal(one.kernel_x, other.kernel_x)


def test_scripts_import_only_what_the_metadata_names(
    bundle: Path, metadata: dict[str, Any]
) -> None:
    modules = {"pytorch-ignite": "ignite", "pyyaml": "yaml"}
    named = {modules.get(name, name) for name in metadata["required_packages_version"]}
    allowed = named | {"monai", "torch", "numpy", "scripts"} | set(sys.stdlib_module_names)
    for path in (bundle / "scripts").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, (path, names)


def test_federated_client_trains_and_gives_weights(
    bundle: Path, small_case: dict[str, str], tmp_path: Path
) -> None:
    algo = MonaiAlgo(
        bundle_root=str(bundle),
        local_epochs=1,
        train_kwargs={
            "network_def#channels": [4, 8],
            "discriminator_def#channels": 4,
            "train#dataset#data": [small_case] * 2,
            "validate#dataset#data": [small_case],
            "ckpt_dir": str(tmp_path / "training"),
            "val_interval": 1,
        },
        config_train_filename="configs/train.yaml",
        config_evaluate_filename=None,
        config_filters_filename=None,
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: "site"})
    sent = {key: tensor.numpy().copy() for key, tensor in algo.trainer.network.state_dict().items()}
    algo.train(data=ExchangeObject(weights=sent), extra={})
    difference = algo.get_weights().weights
    assert difference.keys() == sent.keys()
    assert any(abs(value).max() > 0 for value in difference.values())
    algo.finalize()


def test_federated_client_evaluates_the_weights_that_it_is_sent(
    bundle: Path, small_case: dict[str, str], tmp_path: Path
) -> None:
    algo = MonaiAlgo(
        bundle_root=str(bundle),
        eval_kwargs={"validate#dataset#data": [small_case], "output_dir": str(tmp_path)},
        config_train_filename=None,
        config_evaluate_filename=["configs/train.yaml", "configs/evaluate.yaml"],
        config_filters_filename=None,
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: "site"})
    sent = {
        key: tensor.numpy().copy() for key, tensor in algo.evaluator.network.state_dict().items()
    }
    errors = []
    for bias in (0.0, 1.0):
        weights = ExchangeObject(weights={**sent, "head.bias": sent["head.bias"] * 0 + bias})
        errors.append(algo.evaluate(data=weights, extra={}).metrics["nrmse_euclid"])
    algo.finalize()
    assert errors[0] != pytest.approx(errors[1], rel=0.1)
