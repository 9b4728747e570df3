"""The explanation of one diagnostic code."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """The explanation of a diagnostic: its meaning, a wrong example, and the same example corrected."""

    title: str
    text: str
    wrong_example: str
    right_example: str

    def plain_text(self) -> str:
        """The explanation as plain text, for a terminal."""
        wrong, right = (_indent(example) for example in (self.wrong_example, self.right_example))
        return f"{self.title}\n\n{self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"

    def markdown(self) -> str:
        """The explanation as Markdown, without a heading."""
        wrong, right = (f"```\n{example}\n```" for example in (self.wrong_example, self.right_example))
        return f"**{self.title}.** {self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
