"""Completions of a tiny model, for tests."""

from goniometer.model import generate


def complete(model, prompts, *, new=6, temperature=0.0, seed=0, batch_size=2, finite=False):
    return generate(
        model,
        prompts,
        max_new_tokens=new,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
        advance=lambda rows: None,
        finite=finite,
    )
