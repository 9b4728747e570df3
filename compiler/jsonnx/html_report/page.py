"""One HTML file of everything: data, styles, scripts and the libraries for charts. It loads nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from ..core.invisible_characters import escape_html
from .json_values import script_json

STYLES = ("base.css", "page.css")
"""In the order in which they apply."""
SCRIPTS = ("dom.js", "charts.js", "network.js", "outputs.js", "run.js", "page.js")
"""In the order in which they are run."""
LIVE_SCRIPT = "live.js"
LIBRARIES = {"d3.min.js": "d3.LICENSE", "plot.umd.min.js": "plot.LICENSE", "dagre.min.js": "dagre.LICENSE"}
"""The files of libraries, in the order in which they are run, and their licences; their origin is in the README."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{styles}</style>
</head>
<body>
<noscript><p>This page draws charts with JavaScript, which is disabled; it needs no network.</p></noscript>
<main id="report"></main>
<script type="application/json" id="data">{data}</script>
{scripts}
</body>
</html>
"""


_WAITING_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{styles}</style>
</head>
<body><main><h1>{title}</h1><p>The run has not started yet; this page looks again every two seconds.</p></main></body>
</html>
"""


def waiting_page(title: str) -> str:
    """A page that reloads itself until there is a run."""
    return _WAITING_PAGE.format(title=_title_html(title), styles=_styles())


def report_page(title: str, runs: Sequence[Any], *, live: bool = False) -> str:
    """The page of some runs, each as JSON values. A `live` page asks the server that it came from for new metrics."""
    names = [*SCRIPTS[:-1], LIVE_SCRIPT, SCRIPTS[-1]] if live else SCRIPTS
    libraries = [
        f"/*\n{page_asset(f'libraries/{licence}')}*/\n{page_asset(f'libraries/{name}')}"
        for name, licence in LIBRARIES.items()
    ]
    scripts = [*libraries, '"use strict";\n' + "".join(page_asset(name) for name in names)]
    connections = "'self'" if live else "'none'"
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_script_hash, scripts))}; style-src 'unsafe-inline'; "
        f"img-src data:; connect-src {connections}; base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(
        policy=policy,
        title=_title_html(title),
        styles=_styles(),
        data=script_json({"title": title, "live": live, "runs": list(runs)}),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _title_html(title: str) -> str:
    """A title, in which also what UTF-8 cannot encode is escaped, such as a byte of a folder's name."""
    return escape_html(title)


def _script_hash(script: str) -> str:
    """The source of a Content-Security-Policy that lets exactly this script run."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _styles() -> str:
    return "".join(map(page_asset, STYLES))


@cache
def page_asset(name: str) -> str:
    """The text of a style sheet or a script; `base.css` and `dom.js` are common to all pages of the package."""
    return (files(__package__) / "assets" / name).read_text("utf-8")
