"""Write predictions as the cohort folder's contract has them, whole or not at all."""

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from ignite.engine import Engine, Events

from scripts.checks import shown, tracer_of
from scripts.errors import BadInput
from scripts.fingerprints import Fingerprint, file_sha256, tell_seen
from scripts.inferers import is_out_of_memory

logger = logging.getLogger(__name__)

SINGLE_FILE = ""
"""Name of the case of ``--image``: its map goes straight into the output folder."""
LIBRARIES = ("monai", "torch", "numpy", "nibabel")


class WritePredictions:
    """Handler of the inference evaluator: dose maps and their JSON into ``output_dir``.

    A cohort gives ``P001/C1/dose.nii.gz`` … and ``prediction.json``; a single PET gives
    ``dose.nii.gz`` and ``dose.json``. Everything is written beside the folder first and
    renamed when the last map is there.

    Args:
        output_dir: A new or empty folder.
        weights_path: The weights that predicted, for their hash.
        method: Name of the method in tables.
        fold: The fold that these weights have not seen, or None.
        notice: What a reader of the map must know.
        parameters: What else the result depends on.
    """

    def __init__(
        self,
        output_dir: str,
        weights_path: str,
        method: str,
        fold: int | None,
        notice: str,
        parameters: Mapping[str, Any],
    ) -> None:
        self.typed_output_dir = output_dir
        self.output_dir = Path(output_dir).resolve()
        self.weights_path = weights_path
        self.method = method
        self.fold = fold
        self.notice = notice
        self.parameters = dict(parameters)
        self.partial: Path | None = None
        self.inputs: dict[str, str] = {}
        self.tracers: dict[str, str | None] = {}
        self.fingerprints: dict[str, Fingerprint] = {}
        self.seen_in: dict[str, str | None] | None = None
        self.range: dict[str, tuple[float, float]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to start, every case, end and failure."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.write_maps)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.give_up)

    def start(self, engine: Engine) -> None:
        """Make the folder to fill.

        Raises:
            BadInput: ``output_dir`` holds something already.
        """
        if self.output_dir.exists() and (
            not self.output_dir.is_dir() or any(self.output_dir.iterdir())
        ):
            raise BadInput(
                f"output_dir must be new or empty, and '{self.typed_output_dir}' is not. Remove it "
                "or name another."
            )
        name = f".{self.output_dir.name}."
        try:
            self.output_dir.parent.mkdir(parents=True, exist_ok=True)
            self.partial = Path(tempfile.mkdtemp(prefix=name, dir=self.output_dir.parent))
        except OSError as error:
            raise BadInput(
                f"output_dir must be a folder that can be made, and '{self.typed_output_dir}' "
                f"cannot: {error.strerror}. Name another."
            ) from error

    def write_maps(self, engine: Engine) -> None:
        """Write the maps of one iteration, each on its PET's own grid.

        Raises:
            BadInput: A map that is not finite.
        """
        assert self.partial is not None
        for case, output in zip(engine.state.batch, engine.state.output, strict=True):
            source = str(case["image"].meta["filename_or_obj"])
            name = case.get("name", f"CASE{engine.state.iteration:04d}/C1")
            folder = self.partial / name
            folder.mkdir(parents=True, exist_ok=True)
            # Resampling in single precision can leave a rounding error below 0.
            dose = output["pred"][0].cpu().numpy().astype(np.float32).clip(min=0)
            if not np.isfinite(dose).all():
                raise BadInput(
                    f"The dose map of {shown(source)} must be finite, and holds NaN or infinity in "
                    f"{int((~np.isfinite(dose)).sum())} voxels. Use other weights, or --amp False."
                )
            image = nib.Nifti1Image(dose, case["image"].meta["original_affine"])
            image.header.set_xyzt_units("mm", "sec")
            nib.save(image, folder / "dose.nii.gz")
            self.range[name] = float(dose.min()), float(dose.max())
            self.fingerprints[name] = tuple(case["fingerprint"].tolist())
            self.inputs[shown(source)] = case["file_sha256"]
            self.tracers[name] = tracer_of(source)

    def finish(self, engine: Engine) -> None:
        """Write the JSON, let the folder appear, and say where it is and what it holds.

        It tells, too, of PETs that the weights have seen.
        """
        assert self.partial is not None
        self.seen_in = tell_seen(self.fingerprints, self.weights_path)
        single = list(self.range) == [SINGLE_FILE]
        content = self._single_json() if single else self._cohort_json()
        text = json.dumps(content, indent=4, ensure_ascii=False) + "\n"
        path = self.partial / ("dose.json" if single else "prediction.json")
        path.write_text(text, encoding="utf-8")
        if self.output_dir.exists():
            self.output_dir.rmdir()
        self.partial.replace(self.output_dir)
        lowest = min(low for low, _ in self.range.values())
        highest = max(high for _, high in self.range.values())
        logger.info(
            "%s in %s, %.4g to %.4g Gy per GBq administered. %s",
            "dose.nii.gz" if single else f"{len(self.range)} dose maps",
            *(self.typed_output_dir, lowest, highest, self.notice),
        )

    def give_up(self, engine: Engine, error: Exception) -> None:
        """Leave nothing half-written.

        Raises:
            BadInput: There was not enough memory.
        """
        if self.partial is not None:
            shutil.rmtree(self.partial, ignore_errors=True)
        if is_out_of_memory(error) and not isinstance(error, BadInput):
            raise BadInput(
                "Memory must hold one pass over the whole body, and does not. Add "
                "inference_tiled.yaml to --config_file: the same map, in smaller windows."
            ) from error
        raise error

    def _cohort_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "method": self.method,
            "weights_sha256": self._weights(),
            "fold": dict.fromkeys(self.range, self.fold),
            **({} if self.seen_in is None else {"pet_seen_in": self.seen_in}),
            "provenance": self._provenance(),
        }

    def _single_json(self) -> dict[str, Any]:
        return {
            "quantity": "absorbed dose per administered activity, predicted before therapy",
            "unit": "Gy/GBq",
            "notice": self.notice,
            "method": self.method,
            "tracer": self.tracers[SINGLE_FILE],
            "weights_sha256": self._weights(),
            **({} if self.seen_in is None else {"pet_seen_in": self.seen_in[SINGLE_FILE]}),
            "provenance": self._provenance(),
        }

    def _weights(self) -> dict[str, str]:
        return {Path(self.weights_path).name: file_sha256(self.weights_path)}

    def _provenance(self) -> dict[str, Any]:
        metadata = Path(__file__).parents[1] / "configs" / "metadata.json"
        return {
            "package": "rpt_dosegan",
            "version": json.loads(metadata.read_text(encoding="utf-8"))["version"],
            "command": "inference",
            "parameters": self.parameters,
            "seed": None,
            "inputs": self.inputs,
            "libraries": {name: version(name) for name in LIBRARIES},
        }
