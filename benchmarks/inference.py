"""The bundle's inference beside what a user would otherwise run: 32³ windows, overlap 0.5.

``make bench`` prints the table and writes it to ``benchmarks/inference.md``. Ratios are of one
run in which the ways take turns, medians of several passes on one virtual PET, of which the
true dose is known; peak memory is of whole commands in processes of their own.
"""

import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import onnxruntime
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import Inferer, SlidingWindowInferer
from monai.networks.utils import convert_to_onnx
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.settings import CohortSettings
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundle"
sys.path.insert(0, str(BUNDLE))
from scripts.backends import OpenVinoNetwork  # noqa: E402  the bundle is no package
from scripts.transforms import averaged  # noqa: E402

PASSES = 3
SLICES = 96
LARGE = (168, 168, 544)
ORGANS = (1, 2, 3, 5)  # spleen, kidneys, liver
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


class OnnxNetwork(nn.Module):
    """A network as ONNX Runtime runs it on the CPU."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        example = [torch.ones(1, 1, 8, 8, 8)]
        axes = {"suv": {2: "x", 3: "y", 4: "z"}}
        model = convert_to_onnx(network, example, ["suv"], ["dose"], dynamic_axes=axes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def forward(self, suv: Tensor) -> Tensor:
        """Map SUV to absorbed dose."""
        return torch.from_numpy(self.session.run(None, {"suv": suv.numpy()})[0])


class Bundle:
    """The parts of ``inference.yaml``, with the shipped weights."""

    def __init__(self) -> None:
        self.parser = ConfigParser()
        self.parser.read_config(str(BUNDLE / "configs" / "inference.yaml"))
        self.network = self.part("network").eval()
        state = torch.load(BUNDLE / "models" / "model.pt", weights_only=True)
        self.network.load_state_dict(state)
        self.plain = copy.deepcopy(self.network).to(memory_format=torch.contiguous_format)

    def part(self, name: str) -> Any:
        """Return what the configuration has under a name."""
        return self.parser.get_parsed_content(name)

    def body(self, pet: nib.Nifti1Image) -> MetaTensor:
        """Return what the network is given of a PET."""
        read = averaged(pet, "pet.nii.gz", self.part("spacing_mm"))
        image: MetaTensor = self.part("preprocessing")({"image": read}, start=1)["image"]
        return image

    def dose(self, pet: nib.Nifti1Image, inferer: Inferer, network: nn.Module) -> Tensor:
        """Return the dose map on the PET's grid, all steps but reading and writing."""
        image = self.body(pet)
        case = {"image": image, "pred": inferer(image[None], network)[0]}
        dose: Tensor = self.part("postprocessing")(case)["pred"][0]
        return dose


def ways(bundle: Bundle, pet: nib.Nifti1Image) -> dict[str, Callable[[], Tensor]]:
    """Return name → what makes a PET's dose map."""
    network, once = bundle.network, bundle.part("inferer")
    windows = SlidingWindowInferer([32] * 3, sw_batch_size=4, overlap=0.5, mode="gaussian")
    openvino, onnx = OpenVinoNetwork(bundle.plain), OnnxNetwork(bundle.plain)
    body = bundle.body(pet)[None].as_tensor()
    suv = torch.as_tensor(np.asarray(pet.dataobj))[None, None]
    return {
        "the default: the body at once": lambda: bundle.dose(pet, once, network),
        "… its network alone": lambda: network(body),
        "the default by OpenVINO": lambda: bundle.dose(pet, once, openvino),
        "the default by ONNX Runtime": lambda: bundle.dose(pet, once, onnx),
        "the whole volume at once": lambda: bundle.plain(suv)[0, 0],
        "MONAI's 32³ windows, overlap 0.5": lambda: windows(suv, bundle.plain)[0, 0],
    }


@torch.no_grad()
def rows(actions: dict[str, Callable[[], Tensor]], cycle: VirtualCycle) -> list[str]:
    """Return the table's rows: times of ways that take turns, and their errors."""
    doses = {name: action().numpy() for name, action in actions.items()}
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(PASSES):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    default = next(iter(actions))
    counts = (cycle.organs > 0) & (cycle.fov > 0)
    truth = cycle.true_dose_gy_per_gbq[counts]
    lines = []
    for name, dose in doses.items():
        line = f"| {name} | {medians[name]:.2f} | {medians[name] / medians[default]:.1f} |"
        if dose.shape == counts.shape:
            error = np.linalg.norm(dose[counts] - truth) / np.linalg.norm(truth)
            means = [dose[here].mean() / doses[default][here].mean() for here in organs(cycle)]
            apart = max(abs(mean - 1.0) for mean in means)
            line += f" {error:.3f} | {100 * apart:.2g} % |"
        else:
            line += " | |"
        lines.append(line)
    return lines


def organs(cycle: VirtualCycle) -> list[np.ndarray]:
    """Return the masks of the rated organs that the volume holds."""
    masks = [cycle.organs == number for number in ORGANS]
    return [mask for mask in masks if mask.any()]


def peak_gb(pet: nib.Nifti1Image, folder: Path, overlay: bool) -> float:
    """Return the peak memory of the command on a PET, GB; of Linux, which tells kB."""
    files = [str(BUNDLE / "configs" / "inference.yaml")]
    files += [str(BUNDLE / "configs" / "inference_tiled.yaml")] if overlay else []
    work = Path(tempfile.mkdtemp(dir=folder))
    nib.save(pet, work / "suv.nii.gz")
    (work / "suv.json").write_text(json.dumps({"tracer": "68Ga-PSMA-11"}))
    words = ["-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(files)]
    words += ["--bundle_root", str(BUNDLE), "--image", str(work / "suv.nii.gz")]
    words += ["--output_dir", str(work / "out")] + ["--memory_gb", "0.5"] * overlay
    command = [sys.executable, "-c", PEAK, sys.executable, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) * 1024 / 1e9


def main() -> None:
    """Measure, print and write the table."""
    cycle = make_cycle(CohortSettings(seed=1, slices=SLICES), patient=1)
    pet = nib.Nifti1Image(cycle.pet_suv.astype(np.float32), cycle.grid.affine)
    large = np.zeros(LARGE, np.float32)
    large[20:148, 20:148] = np.tile(pet.dataobj, 6)[..., : LARGE[2]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = rows(ways(Bundle(), pet), cycle)
        large_pet = nib.Nifti1Image(large, pet.affine)
        memory = []
        for image, tiled in ((pet, False), (large_pet, False), (large_pet, True)):
            size = " × ".join(map(str, image.shape))
            what = "in tiles of 0.5 GB" if tiled else "the default"
            memory.append(f"| {size} | {what} | {peak_gb(image, folder, tiled):.2f} |")
    shape = " × ".join(map(str, pet.shape))
    table = [
        f"One virtual PET of {shape} voxels, {torch.get_num_threads()} CPU threads.",
        "",
        "| inference | s | ÷ the default | ‖error‖ ÷ ‖true dose‖ | organ means apart, at most |",
        "|---|---|---|---|---|",
        *times,
        "",
        "| PET | whole command | peak memory, GB |",
        "|---|---|---|",
        *memory,
        "",
    ]
    text = "\n".join(table)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "inference.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
