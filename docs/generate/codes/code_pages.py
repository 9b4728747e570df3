"""The pages of errors, warnings and lint rules, by their codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from jsonnx.lint.check_warnings import CHECK_WARNINGS, DATA_WARNINGS
from jsonnx.lint.rules import RULES
from jsonnx.render.explanations import CODES, Explanation, explanation, page_of

from ..guides import anchor, guide_lines
from ..markdown import code_block
from .code_subjects import SUBJECTS
from .scenes import SCENES
from .wrong_examples import example_of

MAX_KIN = 12
"""The largest number of codes of the same subject that a page links to."""
MAX_FOREIGN_KIN = 4
"""The largest number of codes of other subjects, for one that is alone in its subject."""

TITLES = {"error": "Errors and warnings", "rule": "Lint rules"}
INTRODUCTIONS = {
    "error": "Every diagnostic has a code. `jsonnx explain CODE` prints its page on the terminal. An error ends a "
    "command, a warning does not, and a note only tells. The [rules](../rules/index.md) of `jsonnx lint` have pages of "
    "their own.",
    "rule": "What `jsonnx lint` finds in specs that are valid, and the warnings of `jsonnx validate`, which are "
    "selected and silenced in the same way: see [lint](../../guides/tools/lint.md). [Errors](../errors/index.md) "
    "cannot be silenced.",
}


def code_pages() -> dict[str, str]:
    """The Markdown of each page by its path in docs/: `reference/errors/shape-mismatch.md`."""
    pages = {f"{page_of(code)}.md": _page(code) for code in CODES}
    return pages | {f"reference/{kind}s/index.md": _index(kind) for kind in TITLES}


def code_names() -> dict[str, str]:
    """The page of each code."""
    return {code: f"{page_of(code)}.md" for code in CODES}


def is_rule(code: str) -> bool:
    """Whether a spec can silence the code, so that its page is among the rules."""
    return page_of(code).startswith("reference/rules/")


def _page(code: str) -> str:
    about = explanation(code)
    example = example_of(code)
    lines = [f"# {code}", "", f"**{about.title}.** {about.text}", "", *_facts(code, about)]
    shown = ["", *example.printed.console()] if example.printed is not None else []
    lines += ["", "## Wrong", *code_block(example.wrong_language, example.wrong)]
    lines += ["", "prints", *shown] if shown and code not in SCENES else []
    lines += ["", "## Right", *code_block(example.right_language, example.right)]
    lines += ["", "## Example", *SCENES[code].lines(), *shown] if code in SCENES else []
    lines += [*_silence(code), *_kin(code, about), *guide_lines(rf"`{code}`|\[{code}\]")]
    return "\n".join(lines) + "\n"


# -- facts -----------------------------------------------------------------------------------------------------------


def _facts(code: str, about: Explanation) -> Iterator[str]:
    """The severity, the fix, the subject and, of a rule, when it runs, as a list."""
    yield f"- Severity: {' or '.join(about.severities)}."
    yield f"- Fix: {_fix_text(about)}."
    if is_rule(code):
        yield f"- Runs {_condition(code)}."
    title = SUBJECTS[about.subject]
    yield f"- Subject: [{title}](index.md#{anchor(title)})."


def _fix_text(about: Explanation) -> str:
    if about.fixes == ("safe",):
        return "`--fix` corrects it where one correction is certain"
    if about.fixes == ("unsafe",):
        return "`--unsafe-fixes` corrects it, which may change what is computed"
    if about.fixes:
        return "`--fix` corrects it where one correction is certain, `--unsafe-fixes` in more cases"
    return "none; the help says what to do"


def _condition(code: str) -> str:
    """When a rule or a warning is looked for."""
    if code in CHECK_WARNINGS:
        return "in `jsonnx validate`, too" + (", with `--data`" if code in DATA_WARNINGS else "")
    rule = RULES[code]
    words = ["by default" if rule.is_default else "if it is selected", *(["with `--data`"] if rule.needs_data else [])]
    return ", ".join(words)


# -- further sections ------------------------------------------------------------------------------------------------


def _silence(code: str) -> list[str]:
    """How a spec silences a rule."""
    if not is_rule(code):
        return []
    silence = f'"lint": {{"ignore": [{{"code": "{code}", "reason": "..."}}]}}'
    return [
        *("", "## Silence", ""),
        'In the spec, with the reason; `"layers": [...]` limits it to layers by their names:',
        *("", "```", silence, "```", ""),
        f"For one run: `--ignore {code}`. For a folder: `ignore` in its `jsonnx.toml`, see "
        "[lint](../../guides/tools/lint.md#configure-the-rules).",
    ]


def _kin(code: str, about: Explanation) -> list[str]:
    """Links to codes that the text names, and to those of the same subject."""
    named = [word for word in re.findall(r"`([a-z-]+)`", about.text) if word in CODES]
    same = [other for other in _codes_by_subject()[about.subject] if other != code]
    nearest = _nearest(code, same) if same else _nearest(code, [*CODES])[:MAX_FOREIGN_KIN]
    kin = [other for other in dict.fromkeys([*named, *nearest]) if other != code][:MAX_KIN]
    items = [f"- [`{other}`](../../{page_of(other)}.md): {explanation(other).title}" for other in kin]
    return ["", "## See also", "", *items] if items else []


def _nearest(code: str, others: list[str]) -> list[str]:
    """Codes with those first that share words with a code or its title."""
    words = _words(code)
    return sorted(others, key=lambda other: -len(words & _words(other)))


def _words(code: str) -> set[str]:
    title = re.findall(r"[a-z]{4,}", explanation(code).title.lower())
    return {*code.split("-"), *title} - {"that", "with", "than", "cannot", "from", "bad", "no", "not", "in", "of"}


@cache
def _codes_by_subject() -> dict[str, list[str]]:
    return {subject: [code for code in CODES if explanation(code).subject == subject] for subject in SUBJECTS}


# -- the indexes -----------------------------------------------------------------------------------------------------


def _index(kind: str) -> str:
    """The page that lists the codes of errors, or of rules, by subject."""
    lines = [f"# {TITLES[kind]}", "", INTRODUCTIONS[kind]]
    wanted = {
        subject: [code for code in codes if is_rule(code) == (kind == "rule")]
        for subject, codes in _codes_by_subject().items()
    }
    for subject, codes in wanted.items():
        if codes:
            lines += ["", f"## {SUBJECTS[subject]}", "", *_table(codes, kind)]
    listed = sorted(code for codes in wanted.values() for code in codes)
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *listed, "```"]) + "\n"


def _table(codes: list[str], kind: str) -> Iterator[str]:
    yield from (f"| code | means | {'runs' if kind == 'rule' else 'is'} |", "| --- | --- | --- |")
    for code in codes:
        about = explanation(code)
        last = _condition(code) if kind == "rule" else ", ".join(about.severities)
        yield f"| [`{code}`]({code}.md) | {about.title} | {last} |"
