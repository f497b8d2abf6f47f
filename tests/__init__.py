"""Tests are theorems. `checker` is their run-time type checker.

Beartype, with int accepted for float as in mypy (PEP 484); jaxtyping finds it by name.
"""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
