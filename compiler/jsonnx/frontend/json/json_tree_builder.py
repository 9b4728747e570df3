"""The tree and the syntax errors of a JSON text, built token by token.

A text that is not JSON gets the tree that its author probably means: an unfinished string ends with its line, a missing
comma is inserted, and a container without its closing bracket ends before the first line that is not indented more than
the line it begins in.
"""

from __future__ import annotations

import re
from functools import cached_property
from json import JSONDecoder, dumps
from typing import NoReturn

from ...core.diagnostics import path_text
from .json_errors import JsonError, quoted_token
from .json_mistakes import CODE_BY_MESSAGE, MISTAKES, TRAILING_COMMA, Mistake, Place, end_before
from .strict_decoder import DEFAULT_LIMITS, Limits
from .syntax_tree import Container, Member, Node
from .text_pieces import LineIndex, Replacement

SPACE = r"[ \t\n\r]*+"
_SPACES = re.compile(SPACE)
_INDENTATION = re.compile(r"[ \t]*")
_PHRASES = {
    "value": "a value",
    "key": "a key in double quotes",
    "end": "the end of the document",
    "string": "the end of the string",
}


class ParsingStopped(Exception):
    """The rest of the text is not read."""


class TreeBuilder:
    """Builds the tree of one text, with an explicit stack in place of recursion."""

    def __init__(
        self,
        text: str,
        limits: Limits = DEFAULT_LIMITS,
        *,
        non_finite: bool = False,
        is_strict: bool = False,
        by_indentation: bool = False,
    ) -> None:
        self.text, self.limits, self.non_finite = text, limits, non_finite
        self.is_strict, self.by_indentation = is_strict, by_indentation
        self.root: Node | None = None
        self.errors: list[JsonError] = []
        self.has_unmatched_brackets = False
        self.open: list[Container] = []
        self.expected: Place = "value"
        self.value_count = self.container_count = self.key_count = 0

    def skip_space(self, offset: int) -> int:
        match = _SPACES.match(self.text, offset)
        return match.end() if match else offset

    # -- the tree --------------------------------------------------------------------------------------------------

    def place(self, node: Node) -> None:
        """Adds a value where one is expected."""
        self.check_value_count(node.start)
        self.value_count += 1
        if not self.open:
            self.root, self.expected = node, "end"
            return
        node.parent = container = self.open[-1]
        if container.kind == "array":
            node.step = len(container.items)
            container.items.append(node)
        else:
            member = container.members[-1]
            node.step, member.value = member.name, node
        self.expected = "separator"

    def add_scalar(self, node: Node, is_before_colon: bool, is_reported: bool = False) -> None:
        """Adds a key or a value; a string before a colon is a key where a value is missing, too."""
        expected, container = self.expected, self.open[-1] if self.open else None
        is_in_object = container is not None and container.kind == "object"
        is_key = is_in_object and (expected != "value" or (is_before_colon and self.begins_member(node.start)))
        if not is_reported and expected == "value" and is_key:
            self.unexpected(self.skip_space(node.end), "separator")
        elif not is_reported and expected != "value" and (expected, node.kind) != ("key", "string"):
            self.unexpected(node.start)
        if is_key:
            name = node.scalar if isinstance(node.scalar, str) else self.text[node.start : node.end]
            self.add_member(Member(node.kind, node.start, node.end, name, node.is_closed))
        else:
            self.place(node)

    def begins_member(self, start: int) -> bool:
        """Whether a token is the first of its line or stands after a comma."""
        before = end_before(self.text, start)
        return self.text.startswith(",", before - 1) or any(end in self.text[before:start] for end in "\n\r")

    def add_member(self, member: Member) -> None:
        """Adds a key."""
        member.parent = container = self.open[-1]
        container.members.append(member)
        container.member_by_key.setdefault(member.name, member)
        self.expected = "colon"

    def set_colon(self, colon: int) -> None:
        """Adds the colon after a key."""
        container = self.open[-1]
        member = container.members[-1]
        member.colon, self.expected = colon, "value"
        first = container.member_by_key[member.name]
        if first is not member:
            self.report(self.repeated_key(container, first, member))
            if first.value is None:
                container.member_by_key[member.name] = member
        self.key_count += 1
        if self.key_count > self.limits.max_keys:
            self.fail_too_large(member.start, f"the objects have more than {self.limits.max_keys:,} keys together")

    def open_container(self, bracket: str, start: int) -> None:
        """Begins an object or a list; where there is no place for it, its contents belong to nothing."""
        is_value = self.expected == "value"
        if not is_value:
            self.unexpected(start)
            if bracket == "{" and [node.kind for node in self.open[-2:]] == ["array", "object"]:
                self.close_unfinished(end_before(self.text, start))  # the item before it
            is_value = self.open[-1].kind == "array"
        node = Container("object" if bracket == "{" else "array", start)
        if is_value:
            self.place(node)
        if len(self.open) == self.limits.max_depth:
            message = f"objects and lists nest deeper than {self.limits.max_depth} levels"
            self.fail(JsonError("too-deep", start, message))
        self.container_count += 1
        if self.container_count > self.limits.max_containers:
            self.fail_too_large(start, f"more than {self.limits.max_containers:,} objects and arrays")
        self.open.append(node)
        self.expected = "key" if bracket == "{" else "value"

    def close_container(self, bracket: str, start: int) -> None:
        """Closes the innermost container of this bracket; those in it end here, too."""
        kind = "object" if bracket == "}" else "array"
        container = self.open[-1] if self.open else None
        is_complete = self.expected == "separator" or (container and not container.members and not container.items)
        if container is None or container.kind != kind or not is_complete:
            self.unexpected(start)
            if not any(node.kind == kind for node in self.open):
                self.has_unmatched_brackets = True
                return
        while self.open[-1].kind != kind:
            self.close_unfinished(end_before(self.text, start))
        self.open.pop().end = start + 1
        self.expected = "separator" if self.open else "end"

    def close_unfinished(self, end: int) -> None:
        """Ends the innermost container, which has no closing bracket."""
        node = self.open.pop()
        node.end, node.is_closed, self.has_unmatched_brackets = end, False, True
        self.expected = "separator"

    def close_less_indented(self, offset: int) -> None:
        """Closes the containers that began in an earlier line, and that the line at an offset is not inside of."""
        line_start, indentation = self.line_at(offset)
        while len(self.open) > 1 and offset == line_start + indentation:
            outer_start, outer_indentation = self.line_at(self.open[-1].start)
            if outer_start == line_start or outer_indentation < indentation:
                break
            self.close_unfinished(end_before(self.text, offset))

    def line_at(self, offset: int) -> tuple[int, int]:
        """The offset of a line, and the width of its indentation."""
        start = self.line_index.line_starts[self.line_index.position_at(offset).line - 1]
        indentation = _INDENTATION.match(self.text, start)
        return start, indentation.end() - start if indentation else 0

    @cached_property
    def line_index(self) -> LineIndex:
        return LineIndex(self.text)

    # -- errors ----------------------------------------------------------------------------------------------------

    def fail_too_large(self, start: int, message: str, help: str | None = None) -> NoReturn:
        self.fail(JsonError("too-large", start, message, help))

    def check_value_count(self, start: int) -> None:
        if self.value_count >= self.limits.max_values:
            message = f"more than {self.limits.max_values:,} values"
            self.fail_too_large(start, message, "keep data in a separate file")

    def report_scalar(self, error: JsonError) -> None:
        """Reports an error in a number or a string, unless the value is out of place, which is the error then."""
        if self.expected == "value":
            self.check_value_count(error.offset)
        if self.expected in ("value", "key"):
            self.report(error)

    def repeated_key(self, container: Container, first: Member, repeated: Member) -> JsonError:
        """The error of a key that the object has twice; with a repair if the values are the same."""
        key, value_start = repeated.name, self.skip_space((repeated.colon or repeated.start) + 1)
        message = f"the key {quoted_token(key)} is used twice in one object"
        note = "first used here", first.start, path_text((*container.path, key))
        before = container.members[-2]
        end = self.end_of_same_value(first.value, value_start) if first.value else None
        repair = Replacement((before.value or before).end, end, "") if end is not None else None
        return JsonError("duplicate-key", repeated.start, message, "remove one of them", (note,), repair=repair)

    def end_of_same_value(self, node: Node, start: int) -> int | None:
        """The offset after the value at an offset; None if it is not that of the node, or invalid."""
        try:
            node_value, _ = JSONDecoder().raw_decode(self.text, node.start)
            value, end = JSONDecoder().raw_decode(self.text, start)
        except (ValueError, RecursionError):
            return None
        return end if dumps(value) == dumps(node_value) else None

    def unexpected(self, offset: int, place: Place | None = None, start: int | None = None) -> Replacement | None:
        """Reports an unexpected character, by its mistake if that is a common one, and returns the repair.

        `start` is the offset of the string or container that is not closed; the innermost container if omitted.
        """
        place = place or self.expected
        if place == "value":
            self.check_value_count(offset)
        if start is None and self.open:
            start = self.open[-1].start
        notes = () if start is None else ((f"this {self.text[start]} is not closed", start, "$"),)
        expected = self.expected_phrase(place)
        if offset == len(self.text):
            repair = self.closing_brackets() if place == "separator" else None
            message = f"expected {expected}, but the text ends"
            return self.report(JsonError("invalid-json", offset, message, None, notes, repair=repair))
        comma = end_before(self.text, offset) - 1
        if self.text[offset] in "]}" and self.text.startswith(",", comma) and comma >= 0:
            return self.report_mistake(TRAILING_COMMA, comma)
        for mistake in MISTAKES["document" if place == "value" and not self.open else place]:
            if mistake.pattern.match(self.text, offset):
                return self.report_mistake(mistake, offset)
        message = f"expected {expected}, found {quoted_token(self.text[offset])}"
        return self.report(JsonError("invalid-json", offset, message, None, notes))

    def expected_phrase(self, place: Place) -> str:
        if place == "colon":
            return f"':' after the key {quoted_token(self.open[-1].members[-1].name)}"
        return f"',' or '{self.closer(self.open[-1])}'" if place == "separator" else _PHRASES[place]

    def closing_brackets(self) -> Replacement:
        """The repair of a text that ends after a value, where a comma or a bracket is expected."""
        end = end_before(self.text, len(self.text))
        return Replacement(end, end, "".join(map(self.closer, reversed(self.open))), is_safe=False)

    @staticmethod
    def closer(container: Container) -> str:
        return "}" if container.kind == "object" else "]"

    def report_mistake(self, mistake: Mistake, offset: int) -> Replacement | None:
        match = mistake.pattern.match(self.text, offset)
        assert match is not None
        code = CODE_BY_MESSAGE.get(mistake.message, "invalid-json")
        message = mistake.message.format(quoted_token(match[0]))
        repair = mistake.repair(match)
        error = JsonError(code, offset, message, mistake.help, end=match.end(), repair=repair, mistake=mistake)
        return self.report(error)

    def report(self, error: JsonError) -> Replacement | None:
        self.errors.append(error)
        if self.is_strict:
            raise ParsingStopped
        return error.repair

    def fail(self, error: JsonError) -> NoReturn:
        """Reports an error after which nothing more is read."""
        self.report(error)
        raise ParsingStopped
