"""Compiles every layer case with 2^62 in each integer argument; prints cases that raise anything but CompileError.

Runs in its own process, with limits on memory and time.
"""

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

HUGE_SIZE = 2**62
MAX_MEMORY_BYTES = 6 << 30
TIMEOUT_SECONDS = 10
"""Fifty times what a case takes on an idle machine."""


def integer_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the paths of all integers in a JSON value."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield path
    elif isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from integer_paths(inner, (*path, key))


def with_huge_size(value: Any, path: tuple[Any, ...]) -> Any:
    """Returns a copy of a JSON value with the integer at a path replaced by HUGE_SIZE."""
    if not path:
        return HUGE_SIZE
    copy = value.copy()
    copy[path[0]] = with_huge_size(value[path[0]], path[1:])
    return copy


def variants() -> Iterator[tuple[Case, tuple[Any, ...], dict[str, Any]]]:
    """Yields every layer once for each argument and JSON type of the argument."""
    seen = set()
    for case in all_cases():
        layer = json.loads(json.dumps(case.layer))
        changes = [(path, with_huge_size(layer, path)) for path in integer_paths(layer)]
        missing = [name for name in LAYERS.by_name[layer["type"]].attributes if name not in layer]
        values = HUGE_SIZE, [HUGE_SIZE, HUGE_SIZE]
        changes += [((name,), {**layer, name: value}) for name in missing for value in values]
        for path, changed in changes:
            key = layer["type"], path, type(changed[path[0]])
            if key not in seen:
                seen.add(key)
                yield case, path, changed


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))

    def raise_timeout(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, raise_timeout)
    count = 0
    for case, path, layer in variants():
        inputs = {f"x{i}": {"shape": list(shape), "dtype": case.dtype} for i, shape in enumerate(case.inputs)}
        count += 1
        signal.alarm(TIMEOUT_SECONDS)
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
