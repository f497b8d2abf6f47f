"""Language models: load, generate, token log-probs, and deltas put on without a merged copy.

The only room that imports transformers.
"""

from goniometer.model.activations import blocks, hidden_states, module_inputs, same_inputs
from goniometer.model.fit import is_low_rank, require_fit
from goniometer.model.generate import Generation, generate
from goniometer.model.language_model import LanguageModel
from goniometer.model.load import load
from goniometer.model.past import past_of, read_past, shares_past
from goniometer.model.perturb import perturbed
from goniometer.model.reference import EMBEDDED, find
from goniometer.model.score import completion_logprobs, token_logprobs
from goniometer.model.skeleton import is_here, network_of, skeleton

__all__ = [
    "EMBEDDED",
    "Generation",
    "LanguageModel",
    "blocks",
    "completion_logprobs",
    "find",
    "generate",
    "hidden_states",
    "is_here",
    "is_low_rank",
    "load",
    "module_inputs",
    "network_of",
    "past_of",
    "perturbed",
    "read_past",
    "require_fit",
    "same_inputs",
    "shares_past",
    "skeleton",
    "token_logprobs",
]
