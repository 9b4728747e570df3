"""What there is to say about one code."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """The long form of a diagnostic: what it means, and something wrong beside something right."""

    title: str
    text: str
    wrong_example: str
    right_example: str

    def plain_text(self) -> str:
        """For a terminal."""
        wrong, right = (_indent(example) for example in (self.wrong_example, self.right_example))
        return f"{self.title}\n\n{self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"

    def markdown(self) -> str:
        """For a page, without a heading."""
        wrong, right = (f"```\n{example}\n```" for example in (self.wrong_example, self.right_example))
        return f"**{self.title}.** {self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
