"""What a server tells of its models when it starts, and to whom reads its metrics."""

from __future__ import annotations

from collections.abc import Iterator

from ...backend import package_version
from ...core.system.cpu_count import thread_count
from ...pipeline.run.place_nodes import placement_of_model
from ...runtime.providers.providers import runtime_version
from ...runtime.session.load_model import loadable_model, model_file
from ..models.repository import LoadedModel, ModelRepository
from ..monitoring.request_log import RequestLog
from ..monitoring.server_metrics import ModelStatus
from ..options import ServerOptions


def build_labels(options: ServerOptions) -> dict[str, str]:
    """The labels of `jsonnx_build_info`."""
    return {"version": package_version(), "onnxruntime": runtime_version(), "provider": options.models.provider}


def model_statuses(repository: ModelRepository) -> Iterator[ModelStatus]:
    """The states of all versions, for the metrics."""
    waiting = {(item.served.name, item.served.version): item.batcher.queue_rows for item in repository.loaded()}
    for row in repository.index():
        key = row["name"], row["version"]
        yield ModelStatus(*key, key in waiting, waiting.get(key, 0))


def report_models(repository: ModelRepository, options: ServerOptions, log: RequestLog) -> None:
    """Tells how each version is run."""
    threads, sessions = options.models.threads or thread_count(), options.models.sessions or 1
    for loaded in repository.loaded():
        served, batching = loaded.served, loaded.served.batching
        provider = served.session.provider.name
        limit = options.models.max_batch_rows
        shared = f"batches of up to {limit} rows" if batching.is_allowed else f"no batching: {batching.reason}"
        placement = _placement_text(loaded)
        message = (
            f"model {served.name} version {served.version}: {served.path}, {provider}{placement}, "
            f"threads {threads}, sessions {sessions}, {shared}"
        )
        log.event(
            "model",
            message,
            model=served.name,
            version=served.version,
            path=str(served.path),
            provider=provider,
            threads=threads,
            sessions=sessions,
            is_batched=batching.is_allowed,
        )


def _placement_text(loaded: LoadedModel) -> str:
    """For another provider than the CPU, how many nodes it leaves to the CPU; "" if it does not tell."""
    served = loaded.served
    if served.session.provider.is_cpu:
        return ""
    placement = placement_of_model(loadable_model(model_file(served.path), False), served.session.provider)
    if placement is None:
        return ""
    if not placement.missing:
        return f" with all {placement.nodes} nodes"
    kinds = ", ".join(sorted({missing.op for missing in placement.missing}))
    return f" with {placement.nodes - len(placement.missing)} of {placement.nodes} nodes, the CPU with {kinds}"
