"""One question to an OpenAI-compatible server, asked again while there is hope."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from threading import Event
from typing import Any, final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set
from tenacity.wait import wait_exponential

from goniometer.config import Server
from goniometer.errors import GoniometerError

LONGEST_WAIT = 60.0  # seconds, whatever the server asks for
AGAIN = (408, 409, 425, 429)  # and every 5xx
SHOWN = 200  # characters of an answer in an error


class _AgainError(Exception):
    """What came is not an answer, and the next attempt may bring one."""

    def __init__(self, found: str, wait: float | None = None) -> None:
        super().__init__(found)
        self.wait = wait


class StoppedError(Exception):
    """Another request failed for good: this one is not asked, or not again."""


@final
@dataclass(frozen=True)
class Endpoint:
    """An open client; threads may share it."""

    server: Server
    client: httpx.Client
    first_wait: float
    stopped: Event

    @classmethod
    @contextmanager
    def opened(cls, server: Server, first_wait: float, stopped: Event) -> Iterator["Endpoint"]:
        """Open a client for as many connections as there are requests at a time."""
        key = os.environ.get(server.key_env) if server.key_env is not None else None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=server.concurrency)
        with httpx.Client(headers=headers, timeout=server.timeout, limits=limits) as client:
            yield cls(server, client, first_wait, stopped)

    def answer(self, body: dict[str, Any]) -> dict[str, str]:
        """Ask until an answer comes, `server.attempts` times at most.

        Waits grow twofold, or are what the server asks for in Retry-After, up to a minute.

        Returns:
            The `text` and what it ended with, `finish`.

        Raises:
            GoniometerError: the server refuses, or the last attempt brought no answer; either ends
                the asking of all threads.
            StoppedError: it has ended.
        """
        attempts = stop_after_attempt(self.server.attempts)
        asking = Retrying(
            retry=retry_if_exception_type(_AgainError),
            stop=attempts | stop_when_event_set(self.stopped),
            wait=self._wait,
            sleep=sleep_using_event(self.stopped),
            reraise=True,
        )
        try:
            return asking(self._once, body)
        except GoniometerError:
            self.stopped.set()
            raise
        except _AgainError as error:
            if self.stopped.is_set():
                raise StoppedError from None
            self.stopped.set()
            raise GoniometerError(
                f"the teacher gave no answer in {self.server.attempts} attempts",
                file=self._url,
                found=str(error),
                fix="run the study again once it answers: what came is kept",
            ) from None

    @property
    def _url(self) -> str:
        return f"{self.server.url.rstrip('/')}/chat/completions"

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.wait if isinstance(error, _AgainError) else None
        if asked is None:
            asked = wait_exponential(multiplier=self.first_wait)(state)
        return min(max(asked, 0.0), LONGEST_WAIT)

    def _once(self, body: dict[str, Any]) -> dict[str, str]:
        if self.stopped.is_set():
            raise StoppedError
        try:
            response = self.client.post(self._url, json=body)
        except httpx.InvalidURL as error:
            raise GoniometerError(
                f"not a URL: {error}", file=self._url, key="models.teacher.url"
            ) from None
        except httpx.TimeoutException:
            raise _AgainError(f"no answer within {self.server.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _AgainError(f"{type(error).__name__}: {error}") from None
        found = f"HTTP {response.status_code}: {response.text[:SHOWN]}"
        if response.status_code in AGAIN or response.status_code >= 500:
            raise _AgainError(found, _retry_after(response.headers.get("Retry-After")))
        if response.status_code != 200:
            raise GoniometerError("the teacher refuses the request", file=self._url, found=found)
        return _read(response, found)


def _read(response: httpx.Response, found: str) -> dict[str, str]:
    """Take text and ending out of a chat completion."""
    try:
        choice = response.json()["choices"][0]
        text, finish = choice["message"]["content"], choice["finish_reason"]
    except (ValueError, LookupError, TypeError):
        raise _AgainError(f"no chat completion: {found}") from None
    if not isinstance(finish, str) or not isinstance(text, str | None):
        raise _AgainError(f"no chat completion: {found}")
    if text is None and finish in ("stop", "length"):
        text = ""
    return {"text": text or "", "finish": finish}


def _retry_after(header: str | None) -> float | None:
    """Seconds that a server asks to wait: a number, or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    try:
        seconds = float(header)
        return seconds if isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
