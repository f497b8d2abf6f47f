"""Language models: load, generate, token log-probs, and deltas put on without a merged copy.

The only room that imports transformers.
"""

from goniometer.model.generate import Generation, generate
from goniometer.model.language_model import LanguageModel, load
from goniometer.model.perturb import perturbed
from goniometer.model.reference import EMBEDDED, find
from goniometer.model.score import completion_logprobs, token_logprobs
from goniometer.model.skeleton import is_here, network_of, skeleton

__all__ = [
    "EMBEDDED",
    "Generation",
    "LanguageModel",
    "completion_logprobs",
    "find",
    "generate",
    "is_here",
    "load",
    "network_of",
    "perturbed",
    "skeleton",
    "token_logprobs",
]
