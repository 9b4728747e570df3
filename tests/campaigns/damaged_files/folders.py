"""Imports mutated folders of Hugging Face models: `python -m campaigns.damaged_files.folders --count 1000 --seed 0`.

Prints the outcomes. The test is that the script ends with status 0: each folder is imported or rejected.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from jsonnx.core.diagnostics import CompileError, UsageError
from jsonnx.pipeline.compile.hugging_face_import import import_folder
from support.hugging_face_folders import FIXTURES, fixture, write_fixture

from .run import mutate

MAX_SECONDS = 20
INDEX, WEIGHTS, SHARD = "model.safetensors.index.json", "model.safetensors", "model-1.safetensors"
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 0.5, -0.0, 1e308, 1e-320, 10**30, 2**31, 1 << 24, 2**63),
    *("", "gelu", "relu", "bert", "llama", "../x", "\0", "a" * 1000, "\ud7ff"),
    *([], [1], [0, 0], ["full_attention"] * 4, [[]], {}, {"rope_theta": 1}, {"a": {"b": []}}),
]


def mutated_value(value: Any, rng: np.random.Generator, keys: list[str]) -> Any:
    """A value with a change somewhere inside: another value, a key less, a key of another model."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key, changed = str(rng.choice(list(value))), dict(value)
        action = rng.integers(6)
        if action == 0:
            del changed[key]
        elif action == 1:
            changed[str(rng.choice(keys))] = VALUES[rng.integers(len(VALUES))]
        else:
            changed[key] = mutated_value(value[key], rng, keys)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.5:
        index = int(rng.integers(len(value)))
        return [*value[:index], mutated_value(value[index], rng, keys), *value[index + 1 :]]
    if isinstance(value, (int, float)) and rng.random() < 0.4:
        return value + int(rng.integers(-3, 4))
    return VALUES[rng.integers(len(VALUES))]


def write_mutant(folder: Path, name: str, rng: np.random.Generator, keys: list[str]) -> None:
    """A recorded model of which the configuration, the index or the bytes of a file are changed."""
    write_fixture(folder, name)
    kind = rng.integers(4)
    if kind < 2:
        config: Any = fixture(name)["config"]
        for _ in range(rng.integers(1, 4)):
            config = mutated_value(config, rng, keys)
        (folder / "config.json").write_text(json.dumps(config), errors="surrogatepass")
        return
    file = folder / ("config.json" if rng.random() < 0.3 else WEIGHTS)
    if kind == 2:
        file.write_bytes(mutate(file.read_bytes(), rng))
        return
    (folder / WEIGHTS).rename(folder / SHARD)
    index: Any = {"metadata": {}, "weight_map": dict.fromkeys(fixture(name)["tensors"], SHARD)}
    for _ in range(rng.integers(0, 3)):
        index = mutated_value(index, rng, [*keys, SHARD, "config.json"])
    (folder / INDEX).write_text(json.dumps(index), errors="surrogatepass")


def outcome(folder: Path, with_head: bool) -> str:
    """What the import of a folder ends with."""
    try:
        import_folder(folder, {"kind": 3} if with_head else None).weights()
        return "imported"
    except CompileError as error:
        return error.diagnostics[0].code
    except UsageError as error:
        return error.diagnostic.code


def run(count: int, seed: int, seconds: float = float("inf")) -> collections.Counter[str]:
    """Outcomes of mutants. Raises what an import raises besides the errors of jsonnx."""
    rng = np.random.default_rng(seed)
    names = sorted(file.stem for file in FIXTURES.glob("*.json"))
    keys = sorted({key for name in names for key in fixture(name)["config"]})
    outcomes: collections.Counter[str] = collections.Counter()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        for index in range(count):
            if time.monotonic() - begin > seconds:
                break
            folder = Path(temporary) / "model"
            write_mutant(folder, names[index % len(names)], rng, keys)
            start = time.monotonic()
            outcomes[outcome(folder, bool(rng.random() < 0.3))] += 1
            assert time.monotonic() - start < MAX_SECONDS, f"mutant {index} of seed {seed}"
            shutil.rmtree(folder)
    return outcomes


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10**9, help="number of folders")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no folder after this time")
    args = parser.parse_args()
    results = run(args.count, args.seed, args.seconds)
    print(f"{results.total()} imported or rejected: {dict(results)}")
