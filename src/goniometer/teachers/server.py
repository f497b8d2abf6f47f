"""A teacher behind a URL: any server with OpenAI's chat completions (the extra `server`).

One request a completion, so that each has its own seed and is kept as it comes. Completions are
texts: the base's tokenizer makes tokens of them, and nobody knows their log-probs.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any, final

from goniometer.config import Rollouts, Server
from goniometer.errors import AbsentError
from goniometer.model import LanguageModel
from goniometer.tasks import Problem
from goniometer.teachers.base import Completion, Draw, Keep, Kept, answered, draws, key_of


@final
@dataclass(frozen=True, eq=False)
class ServerTeacher:
    """A model that a server runs.

    Attributes:
        server: where it is, and how it is asked.
        base: whose tokenizer reads what it says.
        first_wait: seconds before the second attempt; each later one waits twice as long.
    """

    server: Server
    base: LanguageModel
    first_wait: float = 1.0
    redrawn: bool = False
    language: None = None

    @property
    def name(self) -> str:
        """The model, and where."""
        return f"{self.server.model} at {self.server.url}"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of who answers and of the tokenizer that reads it."""
        tokenizer = self.base.tokenizer
        read = repr((sorted(tokenizer.get_vocab().items()), tokenizer.chat_template))
        tokens = hashlib.sha256(f"{read} {self.base.end_token}".encode()).hexdigest()
        return key_of(answers=self._answers, tokens=tokens)

    @property
    def _answers(self) -> str:
        asked = self.server.model_dump(mode="json", include={"url", "model", "extra_body"})
        return key_of(server=asked)

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
        """Ask for what is not kept yet, `server.concurrency` requests at a time."""
        wanted = draws(problems, settings, seed=seed, answers=self._answers)
        bodies = {draw.key: self._body(draw, settings) for draw in wanted}

        def ask(missing: Sequence[str], keep: Keep) -> None:
            self._ask_all({key: bodies[key] for key in missing}, keep)

        answers = answered([draw.key for draw in wanted], kept, ask, advance)
        pairs = zip(wanted, answers, strict=True)
        return [self._completion(draw, settings, answer) for draw, answer in pairs]

    def logprobs(
        self, completions: Sequence[Completion], settings: Rollouts
    ) -> list[tuple[float, ...] | None]:
        """Nobody knows them."""
        return [None] * len(completions)

    def _ask_all(self, bodies: Mapping[str, dict[str, Any]], keep: Keep) -> None:
        require_server(self.server)
        from goniometer.teachers.endpoint import Endpoint, StoppedError

        stopped = Event()
        with Endpoint.opened(self.server, self.first_wait, stopped) as endpoint:
            pool = ThreadPoolExecutor(self.server.concurrency)
            try:
                asked = {pool.submit(endpoint.answer, body): key for key, body in bodies.items()}
                for future in as_completed(asked):
                    with suppress(StoppedError):  # the one that failed comes, too
                        keep({asked[future]: future.result()})
            finally:
                stopped.set()  # nobody waits for another attempt
                pool.shutdown(cancel_futures=True)

    def _body(self, draw: Draw, settings: Rollouts) -> dict[str, Any]:
        body = {
            "model": self.server.model,
            "messages": [{"role": "user", "content": draw.problem.question}],
            "temperature": settings.temperature,
            "top_p": 1.0,  # some servers have defaults of their own
            "max_tokens": settings.max_new_tokens,
            "seed": draw.seed,
        }
        both = body | self.server.extra_body
        return {key: value for key, value in both.items() if value is not None}

    def _completion(self, draw: Draw, settings: Rollouts, answer: Mapping[str, str]) -> Completion:
        """Read an answer; one longer in the base's tokens than may be written is cut there."""
        text, finish = answer["text"], answer["finish"]
        tokens = self.base.encode_completion(text)
        truncated = finish == "length"
        if truncated:
            tokens = tokens[:-1]
        if len(tokens) > settings.max_new_tokens:
            tokens, truncated = tokens[: settings.max_new_tokens], True
            text = self.base.decode(tokens)
        return Completion(
            prompt_tokens=self.base.encode_prompt(draw.problem.question),
            tokens=tokens,
            text=text,
            truncated=truncated,
            refused=None if finish in ("stop", "length") else f"the teacher ended with {finish}",
        )


def require_server(server: Server) -> None:
    """Require what it takes to ask a server: the extra's packages, and the key that is named.

    Raises:
        AbsentError: either is not here.
    """
    absent = [name for name in ("httpx", "tenacity") if importlib.util.find_spec(name) is None]
    if absent:
        raise AbsentError(
            f"{' and '.join(absent)} not installed",
            key="models.teacher",
            fix="pip install 'goniometer[server]'",
        )
    if server.key_env is not None and not os.environ.get(server.key_env):
        raise AbsentError(
            "the environment variable is not set",
            key="models.teacher.key_env",
            found=server.key_env,
            fix="set it to the server's key",
        )
