"""Whether a network is better than the best of its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RESULT_TEXTS = {
    "better": "the network is better than the best baseline",
    "worse": "the network is worse than the best baseline",
    "indistinguishable": "the network is not distinguishable from the best baseline",
}


def verdict(
    models: Sequence[dict[str, Any]], metric: str, higher_is_better: bool, reservation: str = ""
) -> dict[str, Any]:
    """`best_baseline`, `result` (better, worse or indistinguishable) and `verdict`, a sentence.

    The first of the models is the network. Without intervals, a model is better if its metric is. `reservation` says
    which models are missing.
    """
    network, *others = models
    sign = 1 if higher_is_better else -1
    usable = [other for other in others if other["figures"][metric] is not None]
    if not usable or network["figures"][metric] is None:
        return {
            "best_baseline": None,
            "result": None,
            "verdict": f"{metric} is not a number, so models cannot be compared",
        }
    best = max(usable, key=lambda other: sign * other["figures"][metric])
    low, high = sorted(sign * bound for bound in best["difference_interval"] or [best["difference"]] * 2)
    result = "better" if low > 0 else "worse" if high < 0 else "indistinguishable"
    text = RESULT_TEXTS[result] + (f", but {reservation}" if reservation else "")
    text += f": {metric} {_with_interval(network['figures'][metric], network['interval'])}, "
    text += f"{best['model']} {_with_interval(best['figures'][metric], best['interval'])}"
    if best["difference_interval"] is not None:
        text += f"; difference {_with_interval(best['difference'], best['difference_interval'])}"
    else:
        text += "; too few samples for an interval"
    return {"best_baseline": best["model"], "result": result, "verdict": text}


def _with_interval(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.4g}" + (f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval is not None else "")
