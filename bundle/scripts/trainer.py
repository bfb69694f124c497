"""The trainer: a supervised trainer of the generator with a discriminator riding along.

A ``SupervisedTrainer``, because the federated-learning client accepts nothing else; not
MONAI's ``AdversarialTrainer``, whose "real" samples are the network's inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from torch.optim import Optimizer

from scripts.distributed import unwrapped

CONTENT, ADVERSARIAL, DISCRIMINATOR = "content", "adversarial", "discriminator"


class DoseGANTrainer(SupervisedTrainer):
    """Train the generator by content loss plus weighted adversarial loss.

    The batch holds ``image`` (SUV, g/mL) and ``label`` (Gy/GBq, NaN where it does not
    count). The loss, and what the discriminator sees, are confined to where it counts.

    Args:
        discriminator: Judges (SUV, dose) pairs.
        discriminator_optimizer: Its optimiser.
        adversarial_loss: MONAI's ``PatchAdversarialLoss``.
        adversarial_weight: Weight of the adversarial term; 0 trains the plain U-Net.
        adversarial_start_epoch: Epochs of content loss alone before it, the warm-up.
        max_gradient_norm: Longer gradients are cut to this length.
        **supervised: Arguments of ``SupervisedTrainer``; ``loss_function`` takes
            (prediction, label, mask).
    """

    def __init__(
        self,
        discriminator: nn.Module,
        discriminator_optimizer: Optimizer,
        adversarial_loss: nn.Module,
        adversarial_weight: float,
        adversarial_start_epoch: int,
        max_gradient_norm: float,
        **supervised: Any,
    ) -> None:
        super().__init__(**supervised)
        self.discriminator = discriminator
        self.discriminator_optimizer = discriminator_optimizer
        self.adversarial_loss = adversarial_loss
        self.adversarial_weight = adversarial_weight
        self.adversarial_start_epoch = adversarial_start_epoch
        self.max_gradient_norm = max_gradient_norm

    def _iteration(self, engine: "DoseGANTrainer", batchdata: dict[str, Tensor]) -> dict[str, Any]:
        suv, label = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )[:2]
        mask = label.isfinite().to(label.dtype)
        label = label.nan_to_num(nan=0.0)
        output: dict[str, Any] = {Keys.IMAGE: suv, Keys.LABEL: label}
        engine.state.output = output

        engine.network.train()
        engine.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=engine.amp, **engine.amp_kwargs):
            output[Keys.PRED] = engine.inferer(suv, engine.network)
            engine.fire_event(IterationEvents.FORWARD_COMPLETED)
            output.update(engine._generator_losses(output[Keys.PRED], suv, label, mask))
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        engine._step(output[Keys.LOSS], engine.optimizer)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)

        if engine._is_adversarial:
            with torch.autocast("cuda", enabled=engine.amp, **engine.amp_kwargs):
                fake = output[Keys.PRED].detach()
                output[DISCRIMINATOR] = engine._discriminator_loss(fake, suv, label, mask)
            engine.discriminator_optimizer.zero_grad(set_to_none=True)
            engine._step(output[DISCRIMINATOR], engine.discriminator_optimizer)
        if engine.amp and engine.scaler is not None:
            engine.scaler.update()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

    @property
    def _is_adversarial(self) -> bool:
        return self.adversarial_weight > 0 and self.state.epoch > self.adversarial_start_epoch

    def _generator_losses(
        self, prediction: Tensor, suv: Tensor, label: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        content = self.loss_function(prediction, label, mask)
        if not self._is_adversarial:
            return {CONTENT: content.detach(), Keys.LOSS: content}
        judge = unwrapped(self.discriminator)  # no gradient of its own to keep in step
        judge.requires_grad_(False)
        logits = judge(suv, prediction * mask)
        judge.requires_grad_(True)
        adversarial = self.adversarial_loss(logits, target_is_real=True, for_discriminator=False)
        return {
            CONTENT: content.detach(),
            ADVERSARIAL: adversarial.detach(),
            Keys.LOSS: content + self.adversarial_weight * adversarial,
        }

    def _discriminator_loss(self, fake: Tensor, suv: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        self.discriminator.train()
        loss = self.adversarial_loss
        on_fake = loss(self.discriminator(suv, fake * mask), False, for_discriminator=True)
        on_real = loss(self.discriminator(suv, label * mask), True, for_discriminator=True)
        mean: Tensor = 0.5 * (on_fake + on_real)
        return mean

    def _step(self, loss: Tensor, optimizer: Optimizer) -> None:
        scaler = self.scaler if self.amp else None
        torch.autograd.backward(loss if scaler is None else scaler.scale(loss))
        if scaler is not None:
            scaler.unscale_(optimizer)
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.max_gradient_norm)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)


def losses_of(output: Sequence[dict[str, Any]] | dict[str, Any]) -> dict[str, float]:
    """Pick the losses of an iteration for the logs: name → value."""
    first = output if isinstance(output, dict) else output[0]
    names = (Keys.LOSS, CONTENT, ADVERSARIAL, DISCRIMINATOR)
    return {str(name): float(first[name].detach()) for name in names if name in first}
