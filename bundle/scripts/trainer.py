"""The trainer: a supervised trainer of the generator with a discriminator riding along.

A ``SupervisedTrainer``, because the federated-learning client accepts nothing else; not
MONAI's ``AdversarialTrainer``, whose "real" samples are the network's inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MLFlowHandler
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from scripts.distributed import unwrapped
from scripts.errors import BadInput

CONTENT, ORGAN, ADVERSARIAL, DISCRIMINATOR = "content", "organ", "adversarial", "discriminator"
LOSSES = (Keys.LOSS, CONTENT, ORGAN, ADVERSARIAL, DISCRIMINATOR)


class DoseGANTrainer(SupervisedTrainer):
    """Train the generator by content loss plus weighted organ and adversarial losses.

    The batch holds ``image`` (SUV, g/mL), ``label`` (Gy/GBq, NaN where it does not count),
    ``organs`` where there are masks, and ``title``, the cases' names. The losses, and what the
    discriminator sees, are confined to where the label counts. ``amp`` is bfloat16, which has the
    range of single precision: no gradient scaler, and none in the checkpoint.

    Args:
        average: Running average of the generator, updated after each step.
        discriminator: Judges (SUV, dose) pairs.
        discriminator_optimizer: Its optimiser.
        adversarial_loss: MONAI's ``PatchAdversarialLoss``.
        adversarial_weight: Weight of the adversarial term; 0 trains the plain U-Net.
        adversarial_start_epoch: Epochs without it, the warm-up.
        organ_loss: Takes (prediction, label, organs).
        organ_weight: Weight of the organ term; 0 leaves it out.
        max_gradient_norm: Longer gradients are cut to this length.
        **supervised: Arguments of ``SupervisedTrainer``; ``loss_function`` takes
            (prediction, label, mask).
    """

    def __init__(
        self,
        average: AveragedModel,
        discriminator: nn.Module,
        discriminator_optimizer: Optimizer,
        adversarial_loss: nn.Module,
        adversarial_weight: float,
        adversarial_start_epoch: int,
        organ_loss: nn.Module,
        organ_weight: float,
        max_gradient_norm: float,
        **supervised: Any,
    ) -> None:
        super().__init__(**supervised)
        self.average = average
        self.discriminator = discriminator
        self.discriminator_optimizer = discriminator_optimizer
        self.adversarial_loss = adversarial_loss
        self.adversarial_weight = adversarial_weight
        self.adversarial_start_epoch = adversarial_start_epoch
        self.organ_loss = organ_loss
        self.organ_weight = organ_weight
        self.max_gradient_norm = max_gradient_norm
        for handler in supervised.get("train_handlers") or []:
            if isinstance(handler, MLFlowHandler):  # that of --tracking wants lists of samples
                handler.output_transform = losses_of

    def run(self) -> None:
        """Train; the average begins at the weights that are here, or resumed, now."""
        self.average.n_averaged.zero_()
        super().run()

    def _iteration(self, engine: "DoseGANTrainer", batchdata: dict[str, Any]) -> dict[str, Any]:
        suv, label = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )[:2]
        organs = batchdata.get("organs")
        mask = label.isfinite().to(label.dtype)
        label = label.nan_to_num(nan=0.0)
        output: dict[str, Any] = {Keys.IMAGE: suv, Keys.LABEL: label}
        engine.state.output = output

        engine.network.train()
        with torch.autocast(engine.state.device.type, enabled=engine.amp, dtype=torch.bfloat16):
            output[Keys.PRED] = engine.inferer(suv, engine.network).float()  # sums need it
            engine.fire_event(IterationEvents.FORWARD_COMPLETED)
            losses = engine._generator_losses(output[Keys.PRED], suv, label, mask, organs)
            output.update(losses)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        if engine._step(output[Keys.LOSS], engine.optimizer):
            engine.average.update_parameters(unwrapped(engine.network))
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)

        if engine._is_adversarial:
            with torch.autocast(engine.state.device.type, enabled=engine.amp, dtype=torch.bfloat16):
                fake = output[Keys.PRED].detach()
                output[DISCRIMINATOR] = engine._discriminator_loss(fake, suv, label, mask)
            engine._step(output[DISCRIMINATOR], engine.discriminator_optimizer)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

    @property
    def _is_adversarial(self) -> bool:
        return self.adversarial_weight > 0 and self.state.epoch > self.adversarial_start_epoch

    def _generator_losses(
        self,
        prediction: Tensor,
        suv: Tensor,
        label: Tensor,
        mask: Tensor,
        organs: Tensor | None = None,
    ) -> dict[str, Tensor]:
        loss = self.loss_function(prediction, label, mask)
        parts = {CONTENT: loss.detach()}
        if organs is not None and self.organ_weight > 0:
            inside = organs.to(prediction.device) * mask
            organ = self.organ_loss(prediction, label, inside)
            loss, parts[ORGAN] = loss + self.organ_weight * organ, organ.detach()
        if self._is_adversarial:
            judge = unwrapped(self.discriminator)  # no gradient of its own to keep in step
            judge.requires_grad_(False)
            logits = judge(suv, prediction * mask)
            judge.requires_grad_(True)
            judged = self.adversarial_loss(logits, target_is_real=True, for_discriminator=False)
            loss, parts[ADVERSARIAL] = loss + self.adversarial_weight * judged, judged.detach()
        return {**parts, Keys.LOSS: loss}

    def _discriminator_loss(self, fake: Tensor, suv: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        self.discriminator.train()
        loss = self.adversarial_loss
        on_fake = loss(self.discriminator(suv, fake * mask), False, for_discriminator=True)
        on_real = loss(self.discriminator(suv, label * mask), True, for_discriminator=True)
        mean: Tensor = 0.5 * (on_fake + on_real)
        return mean

    def _step(self, loss: Tensor, optimizer: Optimizer) -> bool:
        """Add the loss's gradient; at the last batch of a step take it, and say so.

        Raises:
            BadInput: The loss, or its gradient, is not finite; no weight has been touched.
        """
        done = (self.state.iteration - 1) % self.state.epoch_length
        first = done - done % self.accumulation_steps
        batches = min(self.accumulation_steps, self.state.epoch_length - first)
        torch.autograd.backward(loss / batches)
        if done + 1 < first + batches:
            return False
        groups = [group["params"] for group in optimizer.param_groups]
        norms = [nn.utils.clip_grad_norm_(group, self.max_gradient_norm) for group in groups]
        if not bool(torch.stack([loss.detach(), *norms]).isfinite().all()):
            self._refuse_step(float(loss.detach()), float(sum(norms)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return True

    def _refuse_step(self, loss: float, norm: float) -> None:
        titles = ", ".join(sorted(set(self.state.batch.get("title", ["unnamed cases"]))))
        raise BadInput(
            f"Loss and gradient must be finite. Of the batch of {titles} (epoch "
            f"{self.state.epoch}, step {self.state.iteration}) the loss is {loss:.4g}, the "
            f"gradient's length {norm:.4g}. Look at these cases, or go on from the last good "
            "checkpoint.pt by --resume_from with a lower --learning_rate."
        )


def losses_of(output: Sequence[dict[str, Any]] | dict[str, Any]) -> dict[str, float]:
    """Pick the losses of an iteration for the logs: name → value."""
    first = output if isinstance(output, dict) else output[0]
    return {str(name): float(first[name].detach()) for name in LOSSES if name in first}
