"""From the written document to a flat one: blocks, repetitions and expressions become layers and values.

Comes in: the document as `source` reads it. Goes out: one that has `inputs`, `layers`, `outputs`, `labels` and
`training` only, and for each place in it where that was written. Faults are reported where they were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report, Trace, untraced
from ..json_reader import STANDARD
from ..network import Call
from ..schema.errors import check, check_reuse
from ..schema.phrases import quoted
from ..schema.schema import REUSE_KEYS, VERSION, head
from .block_definitions import blocks_of, check_parameters
from .evaluator import Evaluator, Site
from .scope import Maker, Scope, TooLarge
from .source_map import Origins, Place
from .template import LAYERS_AT_MOST, Frame, Ref, Step, Template
from .unused import check_inputs, unused_blocks, warn_of_parameters

SECTIONS = ("inputs", "labels", "training")
"""What is taken as it is, with its expressions computed."""


@dataclass(frozen=True)
class Flat:
    """A document without blocks, repetitions and expressions; where its parts came from, and which are wrong."""

    document: Json
    trace: Trace = untraced
    """Leads from its paths to what was written."""
    wrong: Sequence[JsonPath] = ()
    blocks: Sequence[tuple[tuple[str, str], ...]] = ()
    """The uses of blocks that each layer stands in: their names, and which blocks they are."""

    def within_blocks(self, call: Call) -> Call:
        """A call of a layer, with the uses of blocks that it stands in."""
        around = self.blocks[int(call.path[1])] if self.blocks else ()
        return replace(call, blocks=around) if around else call


def expand(document: Json, report: Report) -> Flat | None:
    """The flat document; None where there can be none, which is reported."""
    if not isinstance(document, dict) or not _needs_it(document, report):
        return Flat(document)
    check_reuse(document, report)
    maker = Maker(blocks_of(document, report), report)
    parameters = _table(document, "parameters")
    check_parameters(parameters, ("parameters",), head()["properties"], "at the top of a spec", report)
    _check_scales(document, parameters, report)
    try:
        values, broken = maker.parameters(parameters, ("parameters",), {})
        flat = _Writer(document, maker, values, Site(None, broken)).flat()
        if flat is not None:
            _check_unused(document, maker)
        return flat
    except TooLarge:
        return None


def _table(document: Mapping[str, Json], key: str) -> dict[str, Json]:
    return document[key] if isinstance(document.get(key), dict) else {}


def _check_scales(document: Mapping[str, Json], parameters: Mapping[str, Json], report: Report) -> None:
    for scale, values in _table(document, "scales").items():
        for name in values if isinstance(values, dict) else ():
            if name not in parameters:
                help = report.suggestion(name, parameters) or f"there are: {', '.join(list(parameters)[:20])}"
                message = f"there is no parameter {quoted(name)}"
                report.add("unknown-name", ("scales", scale, name), message, help=help, at_key=True)


def _check_unused(document: Mapping[str, Json], maker: Maker) -> None:
    """What is defined and not used: warned of, and blocks looked at by themselves."""
    report, blocks = maker.report, [block for block in maker.blocks.values() if block]
    for block in unused_blocks(document.get("layers"), maker.blocks, report):
        writer = _Writer(document, maker, {}, Site())
        frame = Frame((), (), "", block, None)
        template = maker.template(block, {}, frame)
        if template.count <= LAYERS_AT_MOST and template.weight <= STANDARD.values:
            writer.write(template, "a_", block.inputs, None, frame)
            alone = report.derived(Origins(document, writer.places), writer.wrong)
            check({"inputs": {"x": {"shape": []}}, "layers": writer.layers or [{"type": "Identity"}]}, alone)
            report.include(alone)
    if not report.errors():
        check_inputs([block for block in blocks if block.name in maker.used], maker.taken, report)
    parts = [document.get(key) for key in (*SECTIONS, "layers", "outputs")]
    warn_of_parameters(_table(document, "parameters"), ("parameters",), parts, maker.evaluator, report)
    for block in blocks:
        path = (*block.path, "parameters")
        warn_of_parameters(block.parameters, path, [block.layers, block.outputs], maker.evaluator, report)


def _needs_it(document: Mapping[str, Json], report: Report) -> bool:
    """Whether there is anything that the flat language does not have."""
    if document.get("version", VERSION) != VERSION:
        return False
    layers = document.get("layers")
    entries = layers if isinstance(layers, list) else []
    evaluator = Evaluator(report)
    return (
        any(key in document for key in REUSE_KEYS)
        or any(isinstance(entry, dict) and "repeat" in entry for entry in entries)
        or any(evaluator.names(document.get(key)) is not None for key in (*SECTIONS, "layers", "outputs"))
    )


@dataclass
class _Writer:
    """Writes the flat document."""

    document: Mapping[str, Json]
    maker: Maker
    values: Mapping[str, Json]
    site: Site
    layers: list[Json] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    wrong: list[JsonPath] = field(default_factory=list)
    blocks: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    last: str = ""
    """The name of the layer before."""

    def flat(self) -> Flat | None:
        flat = {key: value for key, value in self.document.items() if key not in REUSE_KEYS}
        for key in SECTIONS:
            if key in flat:
                flat[key] = self._value(key)
        if isinstance(flat.get("layers"), list):
            inputs = {name: name for name in flat["inputs"]} if isinstance(flat.get("inputs"), dict) else {}
            scope = Scope(self.maker, flat["layers"], ("layers",), self.values, self.site, inputs)
            template = scope.template(None, ("outputs",))
            if not self._fits(template):
                return None
            self.write(template, "", (), None, None)
            self._check_taken(scope, inputs)
            flat["layers"] = self.layers
            flat |= self._outputs(scope, template)
        return Flat(flat, Origins(self.document, self.places), self.wrong, self.blocks)

    def _check_taken(self, scope: Scope, inputs: Mapping[str, str]) -> None:
        """Reports what uses of blocks take and what is not there; of layers that is seen when they are connected."""
        entries = [entry for entry in self.layers if isinstance(entry, dict)]
        names = {entry["name"] for entry in entries if isinstance(entry.get("name"), str)} | inputs.keys()
        missing = set()
        for path, name in scope.wiring.passed_on:
            if name.partition(".")[0] not in names:
                known = sorted(scope.table)
                help = self.maker.report.suggestion(name, known) or f"there are: {', '.join(known[:20])}"
                self.maker.report.add("unknown-name", path, f"nothing is called {quoted(name)}", help=help)
                missing.add(name)
        for index, entry in enumerate(self.layers if missing else []):
            taken = entry.get("from") if isinstance(entry, dict) else None
            several = taken if isinstance(taken, list) else [taken]
            if any(isinstance(name, str) and name in missing for name in several):
                self.wrong.append(("layers", index, "from"))

    def _value(self, key: str) -> Json:
        return self.maker.evaluator.value(self.document[key], self.values, (key,), self.wrong, self.site)

    def _fits(self, template: Template) -> bool:
        """Whether it is no more than is allowed; reported where not."""
        count, path = template.largest if template.largest[0] > LAYERS_AT_MOST else (template.count, ("layers",))
        many, most = f"{count:,} layers", f"{LAYERS_AT_MOST:,}"
        if template.count <= LAYERS_AT_MOST and template.weight <= STANDARD.values:
            return True
        if template.count <= LAYERS_AT_MOST:
            many, most = f"{template.weight:,} values", f"{STANDARD.values:,}"
        elif count >= 10**15:
            many = f"more than 10^{len(str(count)) - 1} layers"
        elif not template.exact:
            many = f"{many} or more"
        message = f"this comes to {many}, more than {most}"
        self.maker.report.add("too-large", path, message, help="repeat less often")
        return False

    # -- layers ------------------------------------------------------------------------------------------------------

    def write(
        self, template: Template, prefix: str, inputs: Sequence[str | None], owner: str | None, frame: Frame | None
    ) -> None:
        """Write the layers of a template. `owner` is the prefix of those whose weights they use, if of others."""
        for step in template.steps:
            sources = [_joined(ref, prefix, inputs) for ref in step.sources or []]
            outer = prefix if owner is None else owner
            if step.template is not None and step.block is not None:
                given = step.owner.path if step.owner else step.path
                uses = (*(frame.uses if frame else ()), (prefix + step.name, step.block.name))
                use = Frame(step.path, given, step.name, step.block, frame, uses)
                taken = sources if step.sources is not None else [None] * len(step.block.inputs)
                inner = outer + step.owner.prefix if step.owner else None if owner is None else outer + step.prefix
                self.write(step.template, prefix + step.prefix, taken, inner, use)
                continue
            again = outer + step.owner.name if step.owner else None if owner is None else outer + step.name
            path: JsonPath = ("layers", len(self.layers))
            self.wrong += [(*path, *wrong[len(step.path) :]) for wrong in step.wrong]
            if frame is not None and None in sources:
                self.wrong.append((*path, "from"))
            self.places.append(Place(step.path, frame))
            self.blocks.append(frame.uses if frame else ())
            self.layers.append(self._entry(step, prefix, sources, again) if isinstance(step.body, dict) else step.body)
            self.last = prefix + step.name

    def _entry(self, step: Step, prefix: str, sources: list[str | None], again: str | None) -> dict[str, Json]:
        """A layer as the flat language has it."""
        body: dict[str, Any] = {"use": again} if again and not step.uses else dict(step.body)
        if again:
            body["use"] = again
        if isinstance(body.get("name", ""), str) and (prefix or "name" in body or "blocks" in self.document):
            body["name"] = prefix + step.name
        if step.sources is None or None in sources:
            return body
        written = step.body.get("from")
        before = [self.last] if self.layers else list(self._inputs())[:1]
        if isinstance(written, list):
            body["from"] = sources
        elif isinstance(written, str) or sources != before:
            body["from"] = sources[0]
        return body

    def _inputs(self) -> Mapping[str, Json]:
        inputs = self.document.get("inputs")
        return inputs if isinstance(inputs, dict) and len(inputs) == 1 else {}

    def _outputs(self, scope: Scope, template: Template) -> dict[str, Json]:
        """The outputs by the names of layers, where those of blocks are written or meant."""
        path: JsonPath = ("outputs",)
        if "outputs" not in self.document:
            last = next((ref for ref in template.outputs.values()), None)
            return {"outputs": last} if isinstance(last, str) and last != self.last else {}
        written = self._value("outputs")
        if isinstance(written, str):
            return {"outputs": scope.wiring.value(written, path, self.wrong) or written}
        if not isinstance(written, list):
            return {"outputs": written}
        found = [
            (scope.wiring.value(name, (*path, at), self.wrong) or name) if isinstance(name, str) else name
            for at, name in enumerate(written)
        ]
        return {"outputs": found}


def _joined(ref: Ref | None, prefix: str, inputs: Sequence[str | None]) -> str | None:
    return inputs[ref] if isinstance(ref, int) else None if ref is None else prefix + ref
