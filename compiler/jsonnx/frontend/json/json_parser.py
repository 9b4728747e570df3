"""The JSON parser: reads any text into a tree with offsets and a list of syntax errors."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cached_property
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]
from threading import Lock

from ...core.diagnostics import JsonPath
from ...core.limits import MAX_STRING_CHARACTERS
from ...core.system.gc_pause import gc_paused
from .json_errors import JsonError
from .json_tree_builder import SPACE, ParsingStopped, TreeBuilder
from .strict_decoder import depth, is_regular, number_value, strict_decoder
from .syntax_tree import Container, Node

# Every pattern takes linear time: repetitions are possessive. A token includes the space after it, so that the parser
# is always at the start of a token.
_TOKEN = re.compile(  # a bracket, a string without escapes, a number or a constant; with the separator after it
    r'((?:"([^"\\\x00-\x1f]*+)"'
    r"|(-?(?:0|[1-9][0-9]*+)((?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+))(?![\w.+-])"
    rf"|(true|false|null)(?!\w)|[\[\]{{}}])){SPACE}(?:([,:]){SPACE})?+"
)
_NON_FINITE = re.compile(r"(NaN|-?Infinity)(?!\w)")
_WORD = re.compile(r'[^\s{}\[\]:,"]+')
_STRING_LINE = re.compile(r'"(?:[^"\\\n\r]|\\.)*+(?:(")|\\?)')
_STRING_INTERIOR = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+')
_STRING_PART = re.compile(  # text, then the end of the string, an escape, a \u escape, or a surrogate pair of them
    r'[^"\\\x00-\x1f]*+(?:(")|(\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))?"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TREE_LOCK = Lock()
_CONSTANTS = {"true": True, "false": False, "null": None}


def parse(text: str) -> Node | None:
    """The tree of a text that may be half written; None if it contains no value."""
    parser = JsonParser(text)
    root = parser.parse()
    return JsonParser(text, by_indentation=True).parse() if parser.has_unmatched_brackets else root


class JsonParser(TreeBuilder):
    """Reads one text, without recursion.

    A strict parser stops at the first error. Of a text without errors, its tree has what `nodes` was asked for: the
    standard library reads the rest.
    """

    @cached_property
    def decoder(self) -> JSONDecoder | None:
        """The parser of values that stay out of the tree, as long as they have no error."""
        is_used = self.is_strict and is_regular(self.text, self.limits)
        return strict_decoder(self.limits, self.non_finite) if is_used else None

    @gc_paused()
    def parse(self) -> Node | None:
        """The tree of the text; None if it contains no value."""
        size = len(self.text)
        offset = self.skip_space(0)
        with suppress(ParsingStopped):
            if offset == size:
                self.fail(JsonError("empty-document", 0, "the document is empty"))
            offset = self.read_value(offset)
            while offset < size:
                offset = self.read_after_document(offset)
            if self.expected != "end":
                self.unexpected(size)
        while self.open:
            self.close_unfinished(size)
        return self.root

    def nodes(self, path: JsonPath) -> list[Node]:
        """The root and the values along a path, as far as they exist."""
        nodes: list[Node] = []
        node = self.root
        with _TREE_LOCK:
            for step in (*path, None):
                if isinstance(node, Container) and not node.is_read:
                    self.read_skipped(node)
                if node is not None:
                    nodes.append(node)
                    node = node.get(step) if step is not None else None
        return nodes

    def read_skipped(self, container: Container) -> None:
        """Reads the values in a container that has no error; those in them stay out of the tree."""
        self.decoder = JSONDecoder()
        self.open, self.expected = [container], "key" if container.kind == "object" else "value"
        container.is_read, container.scalar = True, None
        self.read_value(self.skip_space(container.start + 1))

    def read_value(self, offset: int) -> int:
        """Reads tokens until a value is complete that is in no container, and returns the offset after it."""
        text, size, token_at = self.text, len(self.text), _TOKEN.match
        while offset < size and self.expected != "end":
            if self.by_indentation and text[offset] not in "]}":
                self.close_less_indented(offset)
            match = token_at(text, offset)
            offset = self.read_token(match) if match else self.read_irregular(offset)
        return offset

    def read_token(self, match: re.Match[str]) -> int:
        """Adds the token of a match, and returns the offset of the next one."""
        token, string, number, fraction_and_exponent, constant, separator = match.groups()
        start, end = match.start(), match.end(1)
        if token in ("{", "["):
            if next_start := self.skip_container(token, start):
                return next_start
            self.open_container(token, start)
        elif token in ("}", "]"):
            self.close_container(token, start)
        else:
            if string is not None:
                self.check_string_length(end - start, start)
                node = Node("string", start, end, string)
            elif number:
                node = self.number(start, number, fraction_and_exponent)
            else:
                node = Node("constant", start, end, _CONSTANTS[constant])
            self.add_scalar(node, separator == ":")
        if separator and self.expected != "end":
            return self.read_separator(separator, match.start(6))
        return match.start(6) if separator else match.end()

    def skip_container(self, bracket: str, start: int) -> int | None:
        """Adds an object or a list without what is in it, and returns the offset after it; None if it has an error."""
        if self.decoder is None or self.expected != "value":
            return None
        try:
            value, end = self.decoder.raw_decode(self.text, start)
        except (ValueError, RecursionError):
            return None
        if len(self.open) + depth(value) > self.limits.max_depth:
            return None
        node = Container("object" if bracket == "{" else "array", start)
        node.end, node.scalar, node.is_read = end, value, False
        self.place(node)
        return self.skip_space(end)

    def read_irregular(self, offset: int) -> int:
        """Reads what is no regular token, such as a string with escapes or a comment, and returns the offset after."""
        character = self.text[offset]
        if character == '"':
            return self.read_string(offset)
        if character in ",:":
            return self.read_separator(character, offset)
        if self.non_finite and self.expected == "value" and (match := _NON_FINITE.match(self.text, offset)):
            self.place(Node("number", offset, match.end(), float(match[0])))
            return self.skip_space(match.end())
        repair = self.unexpected(offset)
        if repair and repair.end > offset and not repair.text.strip():
            return self.skip_space(repair.end)
        if self.text.startswith("/*", offset):  # a comment that is not closed
            return len(self.text)
        if repair and repair.text == ":" and self.expected == "colon":
            return self.read_separator(":", offset)
        word = _WORD.match(self.text, offset)
        if word is None:
            return self.skip_space(offset + 1)
        end = max(word.end(), repair.end if repair and repair.start == offset else offset)
        next_start = self.skip_space(end)
        self.add_scalar(Node("word", offset, end, self.text[offset:end]), self.text.startswith(":", next_start), True)
        return next_start

    def read_separator(self, character: str, offset: int) -> int:
        end = self.skip_space(offset + 1)
        container = self.open[-1] if self.open else None
        if character == "," and self.expected == "separator":
            self.expected = "key" if container and container.kind == "object" else "value"
        elif self.expected == "colon" and container and character != ",":
            self.set_colon(offset)
        else:
            self.unexpected(offset)
            if character == "," and self.expected == "colon":
                self.expected = "key"
        return end

    def read_string(self, offset: int) -> int:
        """Reads a string that contains escapes or errors, and returns the offset after it."""
        interior = _STRING_INTERIOR.match(self.text, offset + 1)
        self.check_string_length(interior.end() + 1 - offset if interior else 0, offset)
        try:
            string, end = scanstring(self.text, offset + 1, True)
        except ValueError:
            string, end = None, offset
        if string is not None and not _SURROGATE.search(string):
            node = Node("string", offset, end, string)
        else:
            if self.expected in ("value", "key"):
                self.check_string(offset)
            node = self.string_with_errors(offset)
        next_start = self.skip_space(node.end)
        self.add_scalar(node, self.text.startswith(":", next_start))
        return next_start

    def check_string(self, start: int) -> None:
        """Reports the first error in a string."""
        end = start + 1
        for part in _STRING_PART.finditer(self.text, end):
            end = part.end()
            if part.lastindex is None:
                self.unexpected(end, "string", start)
            if not part[2]:
                break

    def string_with_errors(self, start: int) -> Node:
        """A string that ends with its line if it has no closing quote."""
        match = _STRING_LINE.match(self.text, start)
        line = match[0] if match else '"'
        if match is None or not match[1]:
            line = line[0] + line[1:].rstrip(" \t,]}")  # what closes its containers does not belong to it
            return Node("string", start, start + len(line), line[1:], is_closed=False)
        try:
            value = scanstring(self.text, start + 1, False)[0]
        except JSONDecodeError:
            value = line[1:-1]
        return Node("string", start, start + len(line), value)

    def check_string_length(self, length: int, start: int) -> None:
        """Reports a string that is too long; the length includes the quotes."""
        if length > MAX_STRING_CHARACTERS + 2:
            message = f"a string of more than {MAX_STRING_CHARACTERS:,} characters"
            self.report_scalar(JsonError("too-large", start, message))

    def number(self, start: int, text: str, fraction_and_exponent: str) -> Node:
        try:
            value = number_value(self.limits, not fraction_and_exponent, text)
        except ValueError as error:
            self.report_scalar(JsonError("invalid-number", start, str(error)))
            return Node("word", start, start + len(text), text)
        return Node("number", start, start + len(text), value)

    def read_after_document(self, offset: int) -> int:
        """Reads what stands after the document, and returns the offset after it."""
        repair = self.unexpected(offset)
        self.has_unmatched_brackets |= self.text[offset] in '"{[]}:'
        return self.skip_space(repair.end) if repair and repair.end > offset else len(self.text)
