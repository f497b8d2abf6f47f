"""TRL's own loss code, called unbound on a stand-in for a trainer, so that none is built."""

import warnings
from collections import defaultdict
from types import SimpleNamespace

import torch
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.utils import FusedCausalLMOutput


def fused_output(logprobs, mask):
    zeros = torch.zeros_like(logprobs)
    return FusedCausalLMOutput(
        log_probs=logprobs, label_mask=mask, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
    )


def stand_in(**fields):
    """What TRL's methods read of a trainer, with a model that is being trained."""
    accelerator = SimpleNamespace(
        device="cpu",
        gather_for_metrics=lambda x: x,
        gather=lambda x: x,
        reduce=lambda x, reduction: x,
    )
    common = {"model": SimpleNamespace(training=True), "aux_loss_enabled": False, "_tp_size": 1}
    return SimpleNamespace(
        accelerator=accelerator,
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        **common,
        **fields,
    )


def columns_of(mask):
    """TRL shifts labels by one: the same mask with one column of a prompt before it."""
    prompt = torch.zeros((len(mask), 1), dtype=torch.long)
    completion_mask = torch.cat([prompt, mask.long()], dim=1)
    return {
        "input_ids": torch.zeros_like(completion_mask),
        "attention_mask": torch.ones_like(completion_mask),
        "completion_mask": completion_mask,
    }


def sequence_sums(values, mask):
    return values.masked_fill(~mask, 0.0).sum(1)


def trl_preference(batch, loss_type, beta):
    """DPOTrainer's mean loss, its gradient in the rows' own order, and what it logs."""
    order = [*range(0, len(batch.mask), 2), *range(1, len(batch.mask), 2)]  # chosen, then rejected
    leaf = batch.logprobs.detach().clone().requires_grad_()
    mask = batch.mask[order]
    trainer = stand_in(
        beta=beta,
        loss_types=[loss_type],
        loss_weights=[1.0],
        f_divergence_type="reverse_kl",
        precompute_ref_logps=True,
        ld_alpha=None,
        use_weighting=False,
    )
    reference = sequence_sums(batch.reference, batch.mask)[order]
    inputs = columns_of(mask) | {
        "ref_chosen_logps": reference[: len(mask) // 2],
        "ref_rejected_logps": reference[len(mask) // 2 :],
    }
    mean = DPOTrainer._compute_loss(
        trainer, lambda **_: fused_output(leaf[order], mask), inputs, False
    )
    (slope,) = torch.autograd.grad(mean, leaf)
    return mean, slope, {name: values[0] for name, values in trainer._metrics["train"].items()}


def trl_kto(batch, beta, desirable, undesirable):
    """KTOTrainer's mean loss, its gradient, and what it logs."""
    leaf = batch.logprobs.detach().clone().requires_grad_()
    trainer = stand_in(
        beta=beta,
        loss_type="kto",
        desirable_weight=desirable,
        undesirable_weight=undesirable,
        precompute_ref_logps=True,
        calculate_KL=True,
        _compute_kl_logps=lambda model, inputs: batch.mismatched,
    )
    inputs = columns_of(batch.mask) | {
        "label": batch.coefficient > 0,
        "ref_logps": sequence_sums(batch.reference, batch.mask),
        "ref_KL_logps": torch.zeros_like(batch.mismatched),
    }
    mean = KTOTrainer._compute_loss(
        trainer, lambda **_: fused_output(leaf, batch.mask), inputs, False
    )
    (slope,) = torch.autograd.grad(mean, leaf)
    return mean, slope, {name: values[0] for name, values in trainer._metrics["train"].items()}


def trl_simpo(chosen, rejected, beta, gamma):
    """CPOTrainer's losses by pair, from mean token log-probs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        from trl.experimental.cpo.cpo_trainer import CPOTrainer
    trainer = stand_in(alpha=0.0, loss_type="simpo", beta=beta, simpo_gamma=gamma)
    trainer.label_smoothing = 0.0
    losses, _, _ = CPOTrainer.cpo_loss(trainer, chosen, rejected)
    return losses


def trl_grpo(batch, old, clip, beta):
    """GRPOTrainer's loss, a mean over tokens (`bnpo`), its gradient, and what it logs."""
    leaf = batch.logprobs.detach().clone().requires_grad_()
    trainer = stand_in(
        beta=beta,
        loss_type="bnpo",
        epsilon_low=clip,
        epsilon_high=clip,
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        _get_per_token_logps_and_entropies=lambda *_, **__: (leaf, torch.zeros_like(leaf), None),
    )
    ids = torch.zeros(batch.mask.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": ids[:, :1],
        "completion_ids": ids,
        "completion_mask": batch.mask.long(),
        "advantages": batch.coefficient,
        "old_per_token_logps": old,
        "ref_per_token_logps": batch.reference,
    }
    mean = GRPOTrainer._compute_loss(trainer, None, inputs)
    (slope,) = torch.autograd.grad(mean, leaf)
    return mean, slope, {name: values[0] for name, values in trainer._metrics["train"].items()}
