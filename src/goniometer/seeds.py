"""Every seed derives from the study's seed and a key; nothing draws from a global generator."""

import hashlib


def derive(*key: object) -> int:
    """Return a 63-bit seed that depends on the whole key and on nothing else."""
    text = "/".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
