"""What there is to say about one code."""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """The long form of a diagnostic: what it means, and something wrong beside something right."""

    title: str
    text: str
    wrong: str
    right: str

    def plain(self) -> str:
        """For a terminal."""
        wrong, right = (_indented(example) for example in (self.wrong, self.right))
        return f"{self.title}\n\n{self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"

    def markdown(self) -> str:
        """For a page, without a heading."""
        wrong, right = (f"```\n{example}\n```" for example in (self.wrong, self.right))
        return f"**{self.title}.** {self.text}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
