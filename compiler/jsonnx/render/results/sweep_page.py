"""The page of a search: a self-contained HTML file without scripts, whose charts are inline SVG.

It depends only on the trials, not on times, so the same search gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ...frontend.schema.phrases import short_repr
from ...hyperparameter_search.importance import MIN_TRIALS, importances
from ...hyperparameter_search.trials import FINISHED, Trial, best_trial, counts_by_state
from ...sections.sweep_section import ParameterSection
from .sweep_charts import ParallelAxis, parallel_coordinates, progress_chart
from .sweep_display import View, figure_text, outcome_text

MAX_ROWS = 1000
"""Rows of the table of trials."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #1f77b4; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; } td.number { font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.facts { overflow-wrap: anywhere; } .wide { overflow-x: auto; } .wide td, .wide th { white-space: nowrap; }
svg { width: 100%; min-width: 640px; height: auto; } svg text { fill: currentColor; font-size: 12px;
  paint-order: stroke; stroke: Canvas; stroke-width: 4px; stroke-linejoin: round; }
svg .axis { stroke: currentColor; stroke-opacity: .35; } svg .trial { fill: none; stroke-width: 1.6; opacity: .75; }
svg .trial:hover { stroke-width: 4; opacity: 1; } svg .best { stroke-width: 3.5; opacity: 1; }
.bar { background: var(--accent); height: .8rem; border-radius: 2px; }
.bars { width: 100%; max-width: 45rem; overflow-wrap: anywhere; } .bars td { border: 0; padding: .1rem .8rem .1rem 0; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: 4px; }
p.note { opacity: .75; }
"""


def sweep_page(name: str, view: View, parameters: Mapping[str, ParameterSection], best_spec: str | None) -> str:
    """The page of a search. `parameters` are its parameters as declared; `best_spec` is the text of the best spec."""
    best = best_trial(view.trials, view.is_maximized)
    parts = [
        f"<h1>{escape(name)}: search</h1>",
        _summary(view, best),
        *_section("Progress", _wide(progress_chart(view.trials, view.is_maximized, view.metric))),
        *_section("Parallel coordinates", _parallel(view, parameters, best)),
        *_section("Importance of the parameters", _importance(view.trials, list(parameters))),
        *(_section("Best spec", f"<pre>{escape(best_spec)}</pre>") if best_spec is not None else ()),
        *_section("Trials", _table(view, list(parameters))),
    ]
    body = "\n".join(parts)
    title = escape(f"{name}: search")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", content] if content else []


def _wide(content: str) -> str:
    """Content that a narrow window scrolls sideways; empty content stays empty."""
    return f'<div class="wide">{content}</div>' if content else ""


def _summary(view: View, best: Trial | None) -> str:
    counts = counts_by_state(view.trials)
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    aim = "greatest" if view.is_maximized else "least"
    text = f"{len(view.trials):,} of {view.limit:,} trials: {states}. The {aim} {view.metric} is best."
    lines = [f"<p>{escape(text)}</p>"]
    if best is not None:
        rows = [
            (view.metric, figure_text(best.value)),
            *((key, short_repr(value)) for key, value in best.values.items()),
        ]
        lines.append(f"<p>Trial {best.number} is the best:</p>")
        lines.append(_rows_table(rows))
    return "\n".join(lines)


def _rows_table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in rows)
    return f'<table class="facts">{cells}</table>'


def _parallel(view: View, parameters: Mapping[str, ParameterSection], best: Trial | None) -> str:
    finished = [trial for trial in view.trials if trial.state == FINISHED and trial.value is not None]
    if len(finished) < 2:
        return ""
    axes = [
        ParallelAxis.of(name, [trial.values.get(name) for trial in finished], entry.log_range is not None)
        for name, entry in parameters.items()
    ]
    axes.append(ParallelAxis.of(view.metric, [trial.value for trial in finished]))
    titles = [f"trial {trial.number}: {view.metric} {figure_text(trial.value)}" for trial in finished]
    values = [trial.value or 0.0 for trial in finished]
    best_index = finished.index(best) if best is not None else None
    chart = parallel_coordinates(axes, values, titles, view.is_maximized, best_index)
    return _wide(chart)


def _importance(trials: Sequence[Trial], names: Sequence[str]) -> str:
    shares = importances(trials, names)
    if not shares:
        return f'<p class="note">At least {MIN_TRIALS} trials must have finished.</p>'
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td style="width: 40%"><div class="bar" style="width: {100 * share:.1f}%"></div>'
        f'</td><td class="number">{share:.2f}</td></tr>'
        for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    )
    note = (
        "Effect size of each parameter by itself: eta squared of the Kruskal-Wallis test, the share of the differences "
        "in rank between trials that lie between the parameter's values (numbers in groups), corrected for chance."
    )
    return f'<table class="bars">{rows}</table><p class="note">{note}</p>'


def _table(view: View, names: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", "outcome", *names))
    sign = -1.0 if view.is_maximized else 1.0

    def order(trial: Trial) -> tuple[bool, float, int]:
        has_value = trial.state == FINISHED and trial.value is not None
        return not has_value, sign * (trial.value or 0.0) if has_value else 0.0, trial.number

    rows = "".join(_row(trial, view.metric, names) for trial in sorted(view.trials, key=order)[:MAX_ROWS])
    hidden = len(view.trials) - MAX_ROWS
    note = f'<p class="note">and {hidden:,} more trials</p>' if hidden > 0 else ""
    return _wide(f"<table><tr>{head}</tr>{rows}</table>") + note


def _row(trial: Trial, metric: str, names: Sequence[str]) -> str:
    values = [short_repr(trial.values[name]) if name in trial.values else "" for name in names]
    cells = [str(trial.number), outcome_text(trial, metric), *values]
    return "<tr>" + "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells) + "</tr>"
