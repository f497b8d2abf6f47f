"""How large a network is: what memory, disk and arithmetic are counted from."""

from dataclasses import dataclass
from typing import Any, final

from torch import nn

from goniometer.config import Adapter, Regime
from goniometer.study.cells import CellPlan
from goniometer.training.full import ATTENTION


@final
@dataclass(frozen=True)
class Size:
    """Counts of a network's weights; numbers of elements, not bytes.

    Attributes:
        parameters: all weights, tied ones once.
        linear: (outputs, inputs) of each linear module by name, the head apart.
        head: weights of the head, which is run at completion positions only.
        vocabulary: width of the logits.
        context: longest text, None where the config does not say.
        kept: elements kept for the backward pass a token, by regime; None where the config has
            not the fields it takes.
    """

    parameters: int
    linear: dict[str, tuple[int, int]]
    head: int
    vocabulary: int
    context: int | None
    kept: dict[Regime, int] | None

    @property
    def body(self) -> int:
        """Weights of the linear modules that every token goes through."""
        return sum(outputs * inputs for outputs, inputs in self.linear.values())

    def adapter(self, settings: Adapter) -> int:
        """Weights of a LoRA: r (m + n) for each m x n module (arXiv 2106.09685, section 4.1)."""
        return sum(
            settings.rank * (outputs + inputs)
            for name, (outputs, inputs) in self.linear.items()
            if name.rpartition(".")[2] in settings.target_modules
        )

    def trainable(self, regime: Regime, adapter: Adapter) -> int:
        """Weights that move in a regime."""
        if regime == "lora":
            return self.adapter(adapter)
        return self.parameters if regime == "full" else self.attention

    @property
    def attention(self) -> int:
        """Weights of the linear modules of attention blocks."""
        return sum(
            outputs * inputs
            for name, (outputs, inputs) in self.linear.items()
            if set(name.split(".")) & set(ATTENTION)
        )

    def training_flops(self, cell: CellPlan, adapter: Adapter) -> tuple[float, float]:
        """Floating-point operations of a training step by token: of its body, and of the head.

        A multiplication by a weight is 2 operations: 2N forward, 2N for the gradient of the
        activations, 2N for that of the weights, so 6N for full fine-tuning (arXiv 2001.08361,
        section 2.1). A weight that stands still has no gradient of its own: 4N, and 2 more for
        each weight that moves; those of an adapter are besides run through, 6 each. A head that
        learns makes its logits twice (`model.head`), 8 each. The attention scores, a few per cent
        for texts far shorter than 12 hidden sizes, are left out.
        """
        moving = self.trainable(cell.regime, adapter)
        if cell.regime == "full":
            return 6.0 * self.body, 8.0 * self.head
        each = 6.0 if cell.regime == "lora" else 2.0
        return 4.0 * self.body + each * moving, 4.0 * self.head


def size_of(network: Any) -> Size:
    """Count a network, with weights or on the meta device."""
    head = network.get_output_embeddings()
    linear = {
        name: (module.out_features, module.in_features)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    config = network.config.get_text_config()
    vocabulary = network.get_input_embeddings().weight.shape[0]
    return Size(
        parameters=sum(weight.numel() for weight in network.parameters()),
        linear=linear,
        head=0 if head is None else head.weight.numel(),
        vocabulary=vocabulary,
        context=getattr(config, "max_position_embeddings", None),
        kept=_kept(config),
    )


def _kept(config: Any) -> dict[Regime, int] | None:
    """Elements that autograd keeps a token, of a decoder with gated MLPs and norms of q and k.

    Counted tensor by tensor, as in arXiv 2205.05198, section 4.1, from what transformers' Qwen3
    does. A frozen linear module keeps nothing; one that learns keeps its input; a norm keeps its
    input, and its normalised input where its weight learns. By layer, with h hidden, i
    intermediate, q and k the widths of queries and of keys:

        lora, attention    3h (both norms' inputs, the first one's output) + 3q (before and after
                           rotation, attention's output) + 3k + 3i (gate, its SiLU, up)
        full               + 3h (both normalised inputs, the MLP's input) + q + k (normalised) + i

    An adapter's own 4r a module are left out, and so are models without norms of q and k, which
    keep q + k less.
    """
    fields = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    numbers = [getattr(config, field, None) for field in fields]
    if not all(isinstance(number, int) for number in numbers):
        return None
    h, i, layers, heads = (int(number or 0) for number in numbers)
    width = getattr(config, "head_dim", None) or h // heads
    q = heads * width
    k = (getattr(config, "num_key_value_heads", None) or heads) * width
    still = 3 * (h + q + k + i)
    return {
        "lora": layers * still,
        "attention": layers * still,
        "full": layers * (still + 3 * h + q + k + i),
    }
