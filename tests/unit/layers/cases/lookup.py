"""StringLookup, IntegerLookup and TextVectorization, with given vocabularies."""

from . import Case

STRINGS = {"type": "StringLookup", "vocabulary": ["a", "b", "c"]}
INTEGERS = {"type": "IntegerLookup", "vocabulary": [2, 5, 3]}
TEXT = {"type": "TextVectorization", "vocabulary": ["the", "cat", "sat", "the cat"]}
WORDS = ("a", "b", "c", "d", "")
TEXTS = ("The cat sat.", "the  dog\tsat", "", "...", "cat")
IDF = {"output_mode": "tf_idf", "idf_weights": [0.5, 1, 2]}
PADDED = {"max_tokens": 6, "pad_to_max_tokens": True}

CASES = [
    Case("string-lookup", STRINGS, [(3,)], strings=WORDS),
    Case("string-lookup-one", STRINGS, [()], strings=WORDS),
    Case("string-lookup-mask", {**STRINGS, "mask_token": ""}, [(2, 3)], strings=WORDS),
    Case("string-lookup-known", {**STRINGS, "num_oov_indices": 0}, [(3,)], strings=("a", "b")),
    Case("string-lookup-one-hot", {**STRINGS, "output_mode": "one_hot"}, [(1,)], strings=WORDS),
    Case("string-lookup-multi-hot", {**STRINGS, "output_mode": "multi_hot", **PADDED}, [(3,)], strings=WORDS),
    Case("string-lookup-count", {**STRINGS, "output_mode": "count", "mask_token": "z"}, [(3, 2)], strings=WORDS),
    Case("string-lookup-tf-idf", {**STRINGS, **IDF, **PADDED}, [(3,)], strings=WORDS),
    Case("string-lookup-inverse", {**STRINGS, "invert": True, "mask_token": ""}, [(3,)], integers=6),
    Case("integer-lookup", INTEGERS, [(3,)], integers=7),
    Case("integer-lookup-mask", {**INTEGERS, "mask_token": 0}, [(3,)], integers=7),
    Case("integer-lookup-several", {**INTEGERS, "num_oov_indices": 3}, [(3,)], integers=9),
    Case("integer-lookup-inverse", {**INTEGERS, "invert": True}, [(3,)], integers=7),
    Case("integer-lookup-one-hot", {**INTEGERS, "output_mode": "one_hot"}, [(3,)], integers=7),
    Case("integer-lookup-tf-idf", {**INTEGERS, **IDF}, [(3,)], integers=7),
    Case("text", TEXT, [()], strings=TEXTS),
    Case("text-one", TEXT, [(1,)], strings=TEXTS),
    Case("text-length", {**TEXT, "output_sequence_length": 4}, [()], strings=TEXTS),
    Case("text-ngrams", {**TEXT, "ngrams": 2, "output_sequence_length": 4}, [()], strings=TEXTS),
    Case("text-widths", {**TEXT, "ngrams": [2, 1], "standardize": "lower"}, [()], strings=TEXTS),
    Case("text-count", {**TEXT, "output_mode": "count", "standardize": "strip_punctuation"}, [()], strings=TEXTS),
    Case("text-multi-hot", {**TEXT, "output_mode": "multi_hot", "standardize": None}, [()], strings=TEXTS),
    Case("text-characters", {**TEXT, "split": "character"}, [()], strings=TEXTS),
    Case("text-whole", {**TEXT, "split": None, "ngrams": 2}, [(3,)], strings=WORDS),
    Case("text-whole-cut", {**TEXT, "split": None, "output_sequence_length": 2}, [(3,)], strings=WORDS),
    Case("text-whole-one-hot", {**TEXT, "split": None, "output_mode": "one_hot"}, [(2,)], strings=WORDS),
]
