"""Logs in the real formats of lm-eval and Inspect, written in code."""

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def lm_eval_row(i: int, score: float, *, filter: str = "strict-match", model: str = "m") -> Row:
    """One line of `samples_*.jsonl` as lm-eval 0.4.13 writes it; the prompt is a model's own."""
    answer = str(i) if score else "[invalid]"
    return {
        "doc_id": i,
        "doc": {"question": f"What is {i} + 0?", "answer": f"#### {i}"},
        "target": f"#### {i}",
        "arguments": {"gen_args_0": {"arg_0": f"<{model}>What is {i} + 0?", "arg_1": {}}},
        "resps": [[f"{model} says {answer}"]],
        "filtered_resps": [answer],
        "filter": filter,
        "metrics": ["exact_match"],
        "doc_hash": f"hash of {i}",
        "prompt_hash": f"{model} {i}",
        "target_hash": f"target {i}",
        "exact_match": score,
    }


def lm_eval(path: Path, scores: Sequence[float], **fields: Any) -> Path:
    """A file of such lines."""
    return lines(path, [lm_eval_row(i, score, **fields) for i, score in enumerate(scores)])


def lines(path: Path, rows: Sequence[object]) -> Path:
    """JSON lines, gzipped where the name ends so."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def sample(i: int, value: object, *, epoch: int = 1, scorer: str = "match", **more: Any) -> Row:
    """A sample as Inspect 0.3.285 writes it."""
    return {
        "id": i,
        "epoch": epoch,
        "input": [{"id": f"random {i}", "role": "user", "content": f"What is {i} + 0?"}],
        "target": str(i),
        "messages": [],
        "output": {
            "model": "mock",
            "choices": [{"message": {"content": f"#### {i}"}, "stop_reason": "stop"}],
            "completion": f"#### {i}",
        },
        "scores": {scorer: {"value": value, "answer": str(i), "history": []}},
        "attachments": {},
    } | more


def inspect_log(samples: Sequence[Row], model: str = "mock/model") -> Row:
    """The document of a `.json` log."""
    about = {"task": "sums", "model": model, "created": "2026-01-01T00:00:00+00:00"}
    return {"version": 2, "status": "success", "eval": about, "samples": list(samples)}


def inspect_json(path: Path, samples: Sequence[Row], model: str = "mock/model") -> Path:
    """A `.json` log."""
    path.write_text(json.dumps(inspect_log(samples, model), indent=2))
    return path


def inspect_eval(path: Path, samples: Sequence[Row], model: str = "mock/model") -> Path:
    """An `.eval` log of the Inspect releases that deflate."""
    header = inspect_log((), model)
    del header["samples"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in samples:
            archive.writestr(f"samples/{row['id']}_epoch_{row['epoch']}.json", json.dumps(row))
        archive.writestr("header.json", json.dumps(header))
    return path


def zstandard_eval(path: Path, samples: Sequence[Row]) -> Path:
    """An `.eval` log of later releases: each member one Zstandard frame, method 93."""
    import pyarrow as pa

    inspect_eval(path, samples)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    packed = {name: pa.Codec("zstd").compress(data, asbytes=True) for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in packed.items():
            archive.writestr(name, data)
        infos = archive.infolist()
    raw = bytearray(path.read_bytes())
    for info in infos:  # method, checksum and size in the local header and in the directory
        name = info.filename.encode()
        central = raw.rfind(b"PK\x01\x02", 0, raw.rfind(name) + 1)
        while raw[central + 46 : central + 46 + len(name)] != name:
            central = raw.rfind(b"PK\x01\x02", 0, central)
        data = members[info.filename]
        for at, method in ((info.header_offset, 8), (central, 10)):
            raw[at + method : at + method + 2] = (93).to_bytes(2, "little")
            crc = at + method + 6
            raw[crc : crc + 4] = zipfile.crc32(data).to_bytes(4, "little")
            raw[crc + 8 : crc + 12] = len(data).to_bytes(4, "little")
    path.write_bytes(raw)
    return path
