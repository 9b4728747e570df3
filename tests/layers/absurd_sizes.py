"""In a process of its own: 2^62 in every integer argument of every case. Prints what ends in neither a model nor a
diagnostic."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from typing import Any

import jsonnx
from jsonnx.core.diagnostics import CompileError
from jsonnx.layers import LAYERS

from .cases import Case, all_cases

ABSURD = 2**62
MEMORY = 6 << 30
SECONDS = 10
"""Of which a fiftieth is enough, on a machine that does nothing else."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where whole numbers stand."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield path
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return ABSURD
    made = value.copy()
    made[path[0]] = replaced(value[path[0]], path[1:])
    return made


def variants() -> Iterator[tuple[Case, tuple[Any, ...], dict[str, Any]]]:
    """Every argument once for each of its forms."""
    seen = set()
    for case in all_cases():
        layer = json.loads(json.dumps(case.layer))
        found = [(path, replaced(layer, path)) for path in places(layer)]
        missing = [name for name in LAYERS.by_name[layer["type"]].attributes if name not in layer]
        found += [((name,), {**layer, name: value}) for name in missing for value in (ABSURD, [ABSURD, ABSURD])]
        for path, changed in found:
            mark = layer["type"], path, type(changed[path[0]])
            if mark not in seen:
                seen.add(mark)
                yield case, path, changed


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def too_long(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    count = 0
    for case, path, layer in variants():
        inputs = {f"x{i}": {"shape": list(shape), "dtype": case.dtype} for i, shape in enumerate(case.inputs)}
        count += 1
        signal.alarm(SECONDS)
        try:
            jsonnx.compile({"inputs": inputs, "layers": [{**layer, "from": list(inputs)}]})
        except CompileError:
            pass
        except Exception as error:
            print(f"{case.id} {path}: {type(error).__name__} {str(error)[:200]}")
        signal.alarm(0)
    print(f"{count} sizes")


if __name__ == "__main__":
    main()
