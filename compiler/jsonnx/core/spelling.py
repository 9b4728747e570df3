"""Which known words a misspelled word may stand for, by the Damerau-Levenshtein distance relative to their length."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

LETTERS_PER_EDIT = 4
"""A word counts as misspelled if it has at most one wrong letter for each four: words with more have another meaning,
such as `AUC` and `acc`."""

LETTERS_PER_EDIT_OF_OTHER_INITIAL = 8
"""Letters for each edit if the first letters differ: these are seldom mistyped, and `GELU` is not `ELU`."""

MAX_EDITS, MAX_TIES = 3, 3
MAX_COMPARED_LETTERS = 100
"""Letters of a misspelled word that are compared."""

MIN_PART_LETTERS = 4
"""The least length of a word that may stand for a longer one that contains it."""

NEGATION = "un"
"""The prefix of words of the opposite meaning: `MaxUnpool2d` is not `MaxPool2D`."""


def similar_words(misspelled: str, known: Iterable[str]) -> list[str]:
    """The known words that a word may stand for, if there are few: usually one, at most `MAX_TIES`.

    These are, whichever come first: words that differ in case only, misspelled ones, words whose initials it consists
    of, and words that begin or end with it.
    """
    by_lower_case: dict[str, str] = {}
    for word in known:
        by_lower_case.setdefault(word.lower(), word)
    lower = misspelled[:MAX_COMPARED_LETTERS].lower()
    if lower in by_lower_case:
        return [by_lower_case[lower], *_with_one_letter_more_or_less(misspelled, by_lower_case.values())][:MAX_TIES]
    similar = [by_lower_case[word] for word in _similarly_spelled(lower, by_lower_case)]
    if not similar and len(lower) > 1:
        similar = [name for word, name in by_lower_case.items() if lower == _initials(word)]
    if not similar and len(lower) >= MIN_PART_LETTERS:
        similar = [name for word, name in by_lower_case.items() if lower in word and _has_part(name, lower)]
        similar = similar if len(similar) == 1 else []
    return similar if len(similar) <= MAX_TIES else []


def _with_one_letter_more_or_less(misspelled: str, known: Iterable[str]) -> list[str]:
    """The words of the same case with one letter more or less: `eLU` may stand for `ReLU`, not only `ELU`."""
    return [word for word in known if abs(len(word) - len(misspelled)) == 1 and edit_distance(misspelled, word, 1) == 1]


def _initials(word: str) -> str:
    return "".join(part[:1] for part in word.split("_"))


def _has_part(word: str, part: str) -> bool:
    """Whether a word consists of a part, in lower case, and whole further words: `LayerNormalization`."""
    parts = [text.lower() for text in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", word)]
    tail = "".join(parts)
    boundaries = [len("".join(parts[:count])) for count in range(len(parts))]
    plain = part.replace("_", "").replace(".", "")
    is_start_or_end = any(tail[start:] == plain or tail[:start] == plain for start in boundaries)
    return is_start_or_end or len(word) - len(part) <= 1


def _similarly_spelled(misspelled: str, known: Iterable[str]) -> list[str]:
    """The most similar words, if they are similar enough; all in lower case."""
    letters = Counter(misspelled)
    best: list[str] = []
    least = MAX_EDITS + 1
    for word in known:
        limit = min(_max_edits(misspelled, word), least)
        if abs(len(word) - len(misspelled)) > limit:
            continue
        has_same_letters = len(word) == len(misspelled) and Counter(word) == letters
        if has_same_letters and (word[:1] == misspelled[:1] or len(word) >= LETTERS_PER_EDIT):
            limit = max(limit, 1)  # swapped letters
        if limit == 0 or _unmatched_letters(letters, word) > limit:
            continue
        distance = edit_distance(misspelled, word, limit)
        if distance <= limit and not _are_opposites(misspelled, word):
            best = [*(best if distance == least else []), word]
            least = distance
    return best


def _are_opposites(left: str, right: str) -> bool:
    """Whether two words differ only by a negation."""
    shorter, longer = sorted((left, right), key=len)
    parts = longer.split(NEGATION)
    return any(shorter == NEGATION.join(parts[:at]) + NEGATION.join(parts[at:]) for at in range(1, len(parts)))


def _max_edits(misspelled: str, word: str) -> int:
    """The maximum number of edits between similar words. A common part before their last dot, such as `ops.`, does not
    count.
    """
    length = max(len(misspelled), len(word))
    prefix, dot, _ = word.rpartition(".")
    if dot and misspelled.startswith(prefix + dot):
        length -= len(prefix) + 1
        misspelled, word = misspelled[len(prefix) + 1 :], word[len(prefix) + 1 :]
    has_same_initial = misspelled[:1] == word[:1]
    return min(MAX_EDITS, length // (LETTERS_PER_EDIT if has_same_initial else LETTERS_PER_EDIT_OF_OTHER_INITIAL))


def _unmatched_letters(letters: Counter[str], word: str) -> int:
    """A lower bound of the edits between two words: the letters that only one of them has."""
    others = Counter(word)
    return max((letters - others).total(), (others - letters).total())


def edit_distance(left: str, right: str, limit: int) -> int:
    """The number of letters to insert, delete, replace or swap with their neighbour; `limit` + 1 if it is more.

    Only the cells of the table within `limit` of its diagonal are computed.
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        first, last = max(1, i - limit), min(len(right), i + limit)
        following = [limit + 1] * (len(right) + 1)
        following[0] = i
        for j in range(first, last + 1):
            replaced = row[j - 1] + (letter != right[j - 1])
            following[j] = min(replaced, row[j] + 1, following[j - 1] + 1)
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == right[j - 1]:
                following[j] = min(following[j], before[j - 2] + 1)
        if min(following[max(0, first - 1) : last + 1]) > limit:
            return limit + 1
        before, row = row, following
    return min(row[-1], limit + 1)
