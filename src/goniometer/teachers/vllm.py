"""A teacher that vLLM runs (the extra `vllm`, 0.10.2 or later), for what is slow otherwise.

Its log-probs are those of the policy that samples, temperature included (`processed_logprobs`), and
what the folder's generation config recommends is dropped (`generation_config="vllm"`). Seeds are a
request's own; that equal ones draw equal completions is not promised, as kernels choose by load.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from goniometer.config import Rollouts
from goniometer.errors import AbsentError
from goniometer.model import LanguageModel, find, skeleton
from goniometer.tasks import Problem
from goniometer.teachers.base import Completion, Draw, Keep, Kept, answered, draws

MEMORY = 0.8  # share of the GPU's memory, as the base lies there too


@final
@dataclass(frozen=True, eq=False)
class VllmTeacher:
    """A model in vLLM's engine, which is started at the first completion.

    Attributes:
        folder: of the whole model.
        language: its tokenizer; its network has no weights.
        dtype: of the weights.
    """

    folder: Path
    language: LanguageModel
    dtype: str
    redrawn: bool = False

    @property
    def name(self) -> str:
        """The model's."""
        return self.language.name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the files of weights and of the tokenizer, and the precision."""
        digest = hashlib.sha256(f"vllm {self.dtype}".encode())
        for pattern in ("*.safetensors", "*.json", "*.jinja"):
            for file in sorted(self.folder.glob(pattern)):
                with file.open("rb") as opened:
                    digest.update(file.name.encode())
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    @cached_property
    def _engine(self) -> Any:
        require_vllm()
        from vllm import LLM

        return LLM(
            model=str(self.folder),
            dtype=self.dtype,
            seed=0,  # of what is not drawn: each request has its own
            gpu_memory_utilization=MEMORY,
            generation_config="vllm",
            logprobs_mode="processed_logprobs",
        )

    def complete(
        self,
        problems: Sequence[Problem],
        settings: Rollouts,
        *,
        seed: str,
        first: int,
        kept: Kept,
        advance: Callable[[int], None],
    ) -> list[Completion]:
        """Hand the engine `settings.batch_size` requests at a time; it batches them as it likes."""
        wanted = draws(problems, settings, seed=seed, answers=self.fingerprint)
        by_key = {draw.key: draw for draw in wanted}

        def ask(missing: Sequence[str], keep: Keep) -> None:
            for start in range(0, len(missing), settings.batch_size):
                batch = missing[start : start + settings.batch_size]
                said = self._ask([by_key[key] for key in batch], settings)
                keep(dict(zip(batch, said, strict=True)))

        answers = answered([draw.key for draw in wanted], kept, ask, advance)
        return [self._completion(*one) for one in zip(wanted, answers, strict=True)]

    def _ask(self, batch: Sequence[Draw], settings: Rollouts) -> list[dict[str, Any]]:
        engine = self._engine
        from vllm import SamplingParams

        outputs = engine.generate(
            [
                {"prompt_token_ids": list(self.language.encode_prompt(draw.problem.question))}
                for draw in batch
            ],
            [
                SamplingParams(
                    n=1,
                    temperature=settings.temperature,
                    top_p=1.0,
                    top_k=-1,
                    max_tokens=settings.max_new_tokens,
                    seed=draw.seed,
                    stop_token_ids=[self.language.end_token],
                    logprobs=0,  # that of the token drawn, and no other
                    detokenize=False,
                )
                for draw in batch
            ],
            use_tqdm=False,
        )
        return [_answer(output.outputs[0]) for output in outputs]

    def _completion(self, draw: Draw, answer: dict[str, Any]) -> Completion:
        tokens = tuple(answer["tokens"])
        # The engine may also stop at an end token that only the model's config knows.
        ended = bool(tokens) and tokens[-1] == self.language.end_token
        return Completion(
            prompt_tokens=self.language.encode_prompt(draw.problem.question),
            tokens=tokens,
            text=self.language.decode(tokens),
            truncated=not ended,
            logprobs=tuple(answer["logprobs"]),
        )

    def logprobs(
        self, completions: Sequence[Completion], settings: Rollouts
    ) -> list[tuple[float, ...] | None]:
        """Return what the engine said."""
        return [completion.logprobs for completion in completions]


def open_vllm(reference: str, dtype: str) -> VllmTeacher:
    """Find a model and read its tokenizer; the engine is not started.

    Raises:
        GoniometerError: as `find` and `skeleton`.
    """
    return VllmTeacher(find(reference).path, skeleton(reference), dtype)


def require_vllm() -> None:
    """Require the package.

    Raises:
        AbsentError: it is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise AbsentError(
            "vLLM is not installed",
            key="models.teacher",
            fix="pip install 'goniometer[vllm]', or name the model without vllm:",
        )


def _answer(output: Any) -> dict[str, Any]:
    tokens = [int(token) for token in output.token_ids]
    said = output.logprobs or []
    logprobs = [float(at[token].logprob) for token, at in zip(tokens, said, strict=True)]
    return {"tokens": tokens, "logprobs": logprobs}
