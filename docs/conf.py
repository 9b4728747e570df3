"""The site of the documentation: `make docs` builds it with Sphinx in build/docs/."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

project = "jsonnx"
extensions = ["myst_parser", "generate.extension"]
exclude_patterns = ["generate"]
nitpicky = True
smartquotes = False  # two hyphens are the start of an option

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "colon_fence"]

html_theme = "pydata_sphinx_theme"
html_title = "jsonnx"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["search_results.js"]
html_search_scorer = str(DOCS / "generate/search_scorer.js")
html_extra_path = ["llms.txt"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "collapse_navigation": True,
    "navigation_depth": 4,
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "footer_start": [],
    "footer_center": [],
    "footer_end": [],
}
