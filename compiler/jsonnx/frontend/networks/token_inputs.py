"""Inputs of tokens in place of inputs of texts: Tokenizer layers compute outside of the graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from ...core.diagnostics import Report
from ...core.files.tokenizer_file import Tokenization, TokenizerFile
from ...core.types import TensorType
from ...layers.preprocessing.tokenizer import IDS, MASK, RESULTS, TEXT_HELP, Tokenizer, is_text
from ..network import Call, Network

TOKENIZER = "Tokenizer"


def with_token_inputs(network: Network, files: Mapping[int, TokenizerFile], report: Report) -> Network:
    """The network whose inputs are results of Tokenizers, and whose Tokenizers pass them on.

    `files` are the tokenizers by the index of their layer. Reports Tokenizers that read results of layers; inputs that
    are no texts are errors in shape inference.
    """
    calls = []
    for call in network.calls:
        if not isinstance(call.layer, Tokenizer):
            continue
        computed = next((source for source in call.sources if source not in network.inputs), None)
        if computed is not None:
            message = f"Tokenizer {call.name!r} computes outside of the graph, and reads {computed!r}, a layer's result"
            report.add("wrong-inputs", call.path, message, help=f"name an input in `from`; {TEXT_HELP}")
        elif all(is_text(network.inputs[source]) for source in call.sources):
            calls.append(call)
    if not calls:
        return network
    read = {*network.outputs, *(source for call in network.calls for source in call.sources)}
    fed: dict[str, Call] = {}
    types: dict[str, dict[str, TensorType]] = {}
    tokenizations = []
    for call in calls:
        names = _input_names(network, call, read, is_single=len(calls) == 1)
        _check_names(network, call, names, report)
        layer: Tokenizer = call.layer  # type: ignore[assignment]
        result_types = layer.result_types(call.name)
        types[call.name] = {name: result_types[result] for result, name in names.items()}
        fed[call.name] = replace(call, layer=layer.with_fed_results([*names]), sources=tuple(names.values()))
        file = files.get(int(network.paths[call.owner][1]))
        tokenizations.append(_tokenization(call, layer, names, file))
    network = replace(network, calls=tuple(fed.get(call.name, call) for call in network.calls))
    return _with_inputs(network, tokenizations, types)


def _input_names(network: Network, call: Call, read: set[str], is_single: bool) -> dict[str, str]:
    """The names of inputs for the results of a Tokenizer that are needed: ids and mask always, others if read."""
    results = [name for name in RESULTS if name in (IDS, MASK) or f"{call.name}.{name}" in read]
    others = {*network.inputs, *(other.name for other in network.calls if other is not call)}
    is_bare = is_single and others.isdisjoint(results)
    return {name: name if is_bare else f"{call.name}_{name}" for name in results}


def _check_names(network: Network, call: Call, names: Mapping[str, str], report: Report) -> None:
    """Reports layers and inputs with the names of inputs that a Tokenizer has in the model."""
    for name in names.values():
        if name in network.inputs or any(other.name == name for other in network.calls if other is not call):
            message = f"the name {name!r} is that of an input of the model, a result of {call.name!r}"
            notes = [(call.path, f"{call.name!r} is here")]
            report.add("duplicate-name", network.paths[name], message, help="rename one of them", notes=notes)


def _tokenization(call: Call, layer: Tokenizer, names: Mapping[str, str], file: TokenizerFile | None) -> Tokenization:
    return Tokenization(
        call.name,
        call.sources,
        names,
        layer.max_length,
        layer.padding == "max_length",
        layer.truncation_side == "left",
        layer.add_special_tokens,
        file,
        layer.file,
    )


def _with_inputs(
    network: Network, tokenizations: list[Tokenization], types: Mapping[str, Mapping[str, TensorType]]
) -> Network:
    """The network with the inputs of tokens, where the first text of each stood."""
    readers = Counter(text for tokens in tokenizations for text in {*tokens.texts})
    uses = Counter(source for call in network.calls for source in {*call.sources})
    texts = {name: type for name, type in network.inputs.items() if name in readers}
    text_inputs = {name: type for name, type in texts.items() if not uses[name] and name not in network.outputs}
    inputs: dict[str, TensorType] = {}
    paths = dict(network.paths)
    for name, type in network.inputs.items():
        inputs |= {} if name in text_inputs else {name: type}
        for tokens in tokenizations:
            if tokens.texts[0] == name:
                inputs |= types[tokens.call]
                paths |= dict.fromkeys(types[tokens.call], network.paths[tokens.call])
    return replace(network, inputs=inputs, paths=paths, tokenizations=tuple(tokenizations), text_inputs=text_inputs)
