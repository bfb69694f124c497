"""Cross-validation: a training per fold, and each fold's cases predicted by weights without it.

What is there of an earlier run is kept: a finished fold is left alone, a begun one goes on.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from scripts.cases import training_cases
from scripts.checkpoints import BEST, RESUMABLE
from scripts.checks import tracer_of
from scripts.command_line import refuse_unknown
from scripts.curves import read_curves, save_curves
from scripts.errors import BadInput

logger = logging.getLogger(__name__)
NO_FOLD = -1
SHARED = ("network_def", "spacing_mm", "suv_scale", "device")
"""Names of train.yaml that prediction must have alike."""


class CrossValidation:
    """Train fold after fold, and put the out-of-fold predictions together.

    ``OUTPUT/fold_0`` … hold each fold's training and prediction, ``OUTPUT/prediction`` all
    predictions as one prediction folder, ``OUTPUT/curves.png`` every fold's curves.

    Args:
        bundle_root: This bundle.
        dataset_dir: A cohort folder whose training cases are dealt into folds by patient.
        output_dir: Where all goes; that of an earlier run goes on.
        folds: Those to train here, such as [2] on one GPU of many; None for all. Whoever
            finishes last puts the predictions together.
        train_options: Name of train.yaml → value.
    """

    def __init__(
        self,
        bundle_root: str,
        dataset_dir: str,
        output_dir: str,
        folds: Sequence[int] | None,
        train_options: Mapping[str, Any],
    ) -> None:
        self.configs = Path(bundle_root) / "configs"
        self.bundle_root = bundle_root
        self.dataset_dir = dataset_dir
        self.output = Path(output_dir)
        self.train_options = dict(train_options)
        self.cases = training_cases(dataset_dir, NO_FOLD)
        self.folds = sorted({case["fold"] for case in self.cases if case["fold"] is not None})
        self.here = self.folds if folds is None else [int(fold) for fold in folds]

    def run(self) -> None:
        """Train and predict; at the end of the last fold put all together.

        Raises:
            BadInput: Folds that are not there, or options that train.yaml does not know.
        """
        self.require_folds()
        train = str(self.configs / "train.yaml")
        refuse_unknown(["--config_file", train, *(f"--{name}=" for name in self.train_options)])
        for fold in self.here:
            if not (self.folder(fold) / "prediction").exists():
                self.train(fold)
                self.predict(fold)
            logger.info("fold %d is finished: %s", fold, self.folder(fold))
        missing = [f for f in self.folds if not (self.folder(f) / "prediction").exists()]
        if missing:
            logger.info("folds %s are still to be trained; then run this again", missing)
            return
        trainings = {f"Fold {f}": read_curves(self.folder(f) / "curves.csv") for f in self.folds}
        save_curves(trainings, self.output / "curves.png")
        self.put_together()
        logger.info(
            "out-of-fold predictions of %d folds: %s/prediction", len(self.folds), self.output
        )

    def require_folds(self) -> None:
        """See that there are two folds or more, and those that were asked for."""
        names = [str(case.get("name", case["image"])) for case in self.cases]
        patients = {name.split("/")[0] for name in names}
        if len(self.folds) < 2:
            raise BadInput(
                f"Cross-validation must have two folds or more, and the {len(patients)} patients "
                f"for training in {self.dataset_dir}/datalist.json are in {self.folds}. Give each "
                "case a 'fold', by patient; there are at most as many folds as patients."
            )
        absent = sorted(set(self.here) - set(self.folds))
        if absent or not self.here:
            raise BadInput(
                f"folds must be among {self.folds}, got {self.here}: {self.dataset_dir}/"
                f"datalist.json has {len(patients)} patients in {len(self.folds)} folds. Deal them "
                "anew for others; there are at most as many folds as patients."
            )

    def folder(self, fold: int) -> Path:
        """Return where a fold's training and prediction go."""
        return self.output / f"fold_{fold}"

    def train(self, fold: int) -> None:
        """Train without a fold, from where an earlier run was left."""
        checkpoint = self.folder(fold) / RESUMABLE
        options = {
            **self.train_options,
            "fold": fold,
            "ckpt_dir": str(self.folder(fold)),
            "resume_from": str(checkpoint) if checkpoint.exists() else None,
        }
        self._run_workflow("train", **options)

    def predict(self, fold: int) -> None:
        """Predict a fold's cases by the weights that were trained without it."""
        for partial in self.folder(fold).glob(".prediction.*"):  # of a run that was killed
            shutil.rmtree(partial)
        options = {
            name: value
            for name, value in self.train_options.items()
            if name.replace("::", "#").split("#")[0] in SHARED
        }
        tracers = {tracer_of(case["image"]) for case in self.cases}
        self._run_workflow(
            "inference",
            **options,
            fold=fold,
            weights_path=str(self.folder(fold) / BEST),
            output_dir=str(self.folder(fold) / "prediction"),
            trained_tracers=sorted(filter(None, tracers)),
            allow_other_tracer=None in tracers,  # which was trained on, whatever it is
        )

    def put_together(self) -> None:
        """Make one prediction folder of all folds', whole."""
        target, partial = self.output / "prediction", self.output / ".prediction.partial"
        shutil.rmtree(partial, ignore_errors=True)
        weights, of_cases, inputs = {}, {"fold": {}, "pet_seen_in": {}}, {}  # type: ignore[var-annotated]
        for fold in self.folds:
            source = self.folder(fold) / "prediction"
            shutil.copytree(source, partial, dirs_exist_ok=True)
            content = json.loads((source / "prediction.json").read_text(encoding="utf-8"))
            weights |= {f"fold_{fold}/{k}": v for k, v in content["weights_sha256"].items()}
            for key, values in of_cases.items():
                values |= content[key]
            inputs |= content["provenance"]["inputs"]
        provenance = {**content["provenance"], "command": "cross_validate", "inputs": inputs}
        provenance["parameters"] |= {"train_options": self.train_options}
        content |= {"weights_sha256": weights, **of_cases, "provenance": provenance}
        text = json.dumps(content, indent=4, ensure_ascii=False) + "\n"
        (partial / "prediction.json").write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)

    def _run_workflow(self, name: str, **options: Any) -> None:
        workflow = ConfigWorkflow(
            config_file=str(self.configs / f"{name}.yaml"),
            workflow_type="train" if name == "train" else "infer",
            logging_file=False,
            bundle_root=self.bundle_root,
            dataset_dir=self.dataset_dir,
            **options,
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
