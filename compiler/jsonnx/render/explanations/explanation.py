"""The explanation of one diagnostic code."""

from __future__ import annotations

import re
from typing import NamedTuple

FILE = re.compile(
    r"(---\n(?P<facts>(\w+: [\w, ]+\n)+)---\n)?"
    r"# (?P<title>[^\n]+)\n\n(?P<text>.+)\n\n"
    r"## Wrong\n\n```(?P<wrong_language>\w*)\n(?P<wrong>.+)\n```\n\n"
    r"## Right\n\n```(?P<right_language>\w*)\n(?P<right>.+)\n```\n",
    re.DOTALL,
)


class Explanation(NamedTuple):
    """The explanation of a diagnostic: its meaning, a wrong example, and the same example corrected."""

    title: str
    text: str
    wrong_example: str
    right_example: str
    subject: str = ""
    """The subject by which the reference groups codes."""
    severities: tuple[str, ...] = ("error",)
    """What a diagnostic of the code is: `error`, `warning` or `note`, or several of these."""
    fixes: tuple[str, ...] = ()
    """The fixes that some diagnostics of the code have: `safe`, which `--fix` applies, `unsafe`, or both."""
    languages: tuple[str, str] = ("", "")
    """The languages of the two examples: `json`, `sh`, `python`, or empty for any text."""

    @classmethod
    def parse(cls, markdown: str) -> Explanation:
        """The explanation in the text of a file, whose paragraph and JSON examples may be broken into lines.

        Facts about the code may stand above it, between lines of `---`: its `subject`, and the `severity` and
        the `fix` of its diagnostics.
        """
        match = FILE.fullmatch(markdown)
        if match is None:
            raise ValueError("expected a title, one paragraph, and a code block under each of `Wrong` and `Right`")
        facts = dict(line.split(": ") for line in (match["facts"] or "").splitlines())
        wrong, right = (
            _join_lines(match[name]) if match[f"{name}_language"] == "json" else match[name]
            for name in ("wrong", "right")
        )
        return cls(
            match["title"],
            _join_lines(match["text"]),
            wrong,
            right,
            facts.get("subject", ""),
            tuple(facts.get("severity", "error").split(", ")),
            tuple(facts["fix"].split(", ")) if "fix" in facts else (),
            (match["wrong_language"], match["right_language"]),
        )

    def plain_text(self) -> str:
        """The explanation as plain text, for a terminal."""
        wrong, right = (_indent(example) for example in (self.wrong_example, self.right_example))
        return f"{self.title}\n\n{self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"

    def markdown(self) -> str:
        """The explanation as Markdown, without a heading."""
        wrong, right = (f"```\n{example}\n```" for example in (self.wrong_example, self.right_example))
        return f"**{self.title}.** {self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"


def _join_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
