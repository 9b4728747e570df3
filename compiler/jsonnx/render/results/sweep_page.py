"""The page of a search: a self-contained HTML file without scripts, whose charts are inline SVG.

It depends only on the trials and on Optuna, not on times, so the same search gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...core.diagnostics import UsageError
from ...core.invisible_characters import escape_html
from ...frontend.schema.phrases import short_repr
from ...hyperparameter_search.importance import MIN_TRIALS, importances
from ...hyperparameter_search.space import Space
from ...hyperparameter_search.trials import SweepView, Trial, counts_by_state, ranked_trials
from .sweep_charts import sweep_charts
from .sweep_display import metric_text, outcome_text

MAX_ROWS = 1000
"""Rows of the table of trials."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #1f77b4; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; font-variant-numeric: tabular-nums; }
.facts { overflow-wrap: anywhere; } .wide { overflow-x: auto; } .wide td, .wide th { white-space: nowrap; }
svg { width: 340px; max-width: 100%; } svg text { fill: currentColor; font-size: 12px; }
svg .axis { fill: none; stroke: currentColor; stroke-opacity: .35; }
circle { fill: var(--accent); fill-opacity: .6; } circle.best { fill: #d62728; fill-opacity: 1; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: 4px; }
p.note { opacity: .75; }
"""


def sweep_page(name: str, view: SweepView, space: Space, best_spec: str | None) -> str:
    """The page of a search. `best_spec` is the text of the best spec."""
    ranked = ranked_trials(view.trials, view.is_maximized)
    with_value = {trial.number for trial in ranked}
    others = [trial for trial in view.trials if trial.number not in with_value]
    parts = [
        f"<h1>{escape_html(name)}: search</h1>",
        _summary(view, ranked[:1]),
        *_section(view.metric, sweep_charts(ranked, space, view.metric)),
        *_section("Importance of the parameters", _importance(view, space)),
        *(_section("Best spec", f"<pre>{escape_html(best_spec)}</pre>") if best_spec is not None else ()),
        *_section(
            "Trials",
            _table([*ranked, *others], view.metric, space.names),
        ),
    ]
    body = "\n".join(parts)
    title = escape_html(f"{name}: search")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> list[str]:
    return [f"<h2>{escape_html(title)}</h2>", content] if content else []


def _summary(view: SweepView, best: Sequence[Trial]) -> str:
    counts = counts_by_state(view.trials)
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    aim = "greatest" if view.is_maximized else "least"
    text = f"{len(view.trials):,} of {view.limit:,} trials: {states}. The {aim} {view.metric} is best."
    lines = [f"<p>{escape_html(text)}</p>"]
    for trial in best:
        values = ((key, short_repr(value)) for key, value in trial.values.items())
        lines.append(f"<p>Trial {trial.number} is the best:</p>")
        lines.append(_rows_table([(view.metric, metric_text(trial.value)), *values]))
    return "\n".join(lines)


def _rows_table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape_html(key)}</th><td>{escape_html(value)}</td></tr>" for key, value in rows)
    return f'<table class="facts">{cells}</table>'


def _importance(view: SweepView, space: Space) -> str:
    try:
        shares = importances(view.trials, space, view.is_maximized)
    except UsageError as error:
        return f'<p class="note">{escape_html(error.diagnostic.message)}</p>'
    if not shares:
        return f'<p class="note">At least {MIN_TRIALS} trials must have finished.</p>'
    note = '<p class="note">For the best tenth of the trials, by PED-ANOVA; the sum is 1.</p>'
    return _rows_table((name, f"{share:.2f}") for name, share in shares.items()) + note


def _table(trials: Sequence[Trial], metric: str, names: Sequence[str]) -> str:
    head = "".join(f"<th>{escape_html(name)}</th>" for name in ("trial", "outcome", *names))
    rows = "".join(_row(trial, metric, names) for trial in trials[:MAX_ROWS])
    hidden = len(trials) - MAX_ROWS
    note = f'<p class="note">and {hidden:,} more trials</p>' if hidden > 0 else ""
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>{note}'


def _row(trial: Trial, metric: str, names: Sequence[str]) -> str:
    values = [short_repr(trial.values[name]) if name in trial.values else "" for name in names]
    cells = [str(trial.number), outcome_text(trial, metric), *values]
    return "<tr>" + "".join(f"<td>{escape_html(cell)}</td>" for cell in cells) + "</tr>"
