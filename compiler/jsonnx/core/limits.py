"""The limits on the sizes of files and networks: larger input is rejected.

Each limit is checked before work that would cost more than the check. `docs/language/limits.md` is generated from this
table. Thresholds that only choose between two ways to compute the same are not limits and stand where they are used.
"""

from __future__ import annotations

from math import prod
from typing import Self

from .types import Dim, TensorType, require

MIB, GIB = 1 << 20, 1 << 30


class Limit(int):
    """The largest accepted number, with its subject (the section of the table), its unit and what it counts."""

    subject: str
    unit: str
    meaning: str

    def __new__(cls, subject: str, value: int, unit: str, meaning: str) -> Self:
        limit = super().__new__(cls, value)
        limit.subject, limit.unit, limit.meaning = subject, unit, meaning
        return limit


SPECS, EXPANSION, NETWORKS = "Specs", "Blocks, repetitions and expressions", "Networks"
LAYERS, FOREIGN, KERAS, DATA = "Layers", "Files of other programs", "Keras models", "Data files"

# -- specs -----------------------------------------------------------------------------------------------------------

MAX_SPEC_BYTES = Limit(SPECS, 32 * MIB, "bytes", "The text of a spec.")
MAX_JSON_DEPTH = Limit(SPECS, 32, "levels", "Objects and arrays inside one another.")
MAX_JSON_VALUES = Limit(SPECS, 1_200_000, "values", "Numbers, strings, constants, objects and arrays together.")
MAX_JSON_CONTAINERS = Limit(SPECS, 200_000, "objects and arrays", "Objects and arrays together.")
MAX_JSON_KEYS = Limit(SPECS, 400_000, "keys", "Keys of all objects together.")
MAX_STRING_CHARACTERS = Limit(SPECS, 1_000_000, "characters", "One string, or one key.")
MAX_NUMBER_CHARACTERS = Limit(SPECS, 640, "characters", "One number.")
MAX_NAME_CHARACTERS = Limit(SPECS, 128, "characters", "The name of a layer, an input, a block or a parameter.")
MAX_SILENCES = Limit(SPECS, 100, "entries", "The entries of `lint.ignore`.")
MAX_SILENCE_PATTERNS = Limit(SPECS, 20, "patterns", "The patterns of an entry of `lint.ignore`.")
MAX_LAYER_PATTERNS = Limit(
    SPECS, 1_000, "patterns", "The patterns of `freeze`, of `learning_rates` or of the layers of initial weights."
)
MAX_LAYERS = Limit(SPECS, 10_000, "layers", "Layers, after the expansion of blocks and repetitions.")
MAX_INPUTS = Limit(SPECS, 10_000, "inputs", "Inputs of a network.")
MAX_OUTPUTS = Limit(SPECS, 10_000, "outputs", "Outputs of a network.")
MAX_INPUT_AXES = Limit(SPECS, 8, "axes", "Axes of an input, besides the batch axis.")
MAX_DIAGNOSTICS = Limit(SPECS, 1_000, "diagnostics", "Errors and warnings that one check collects; others are dropped.")
MAX_COMPARED_WORDS = Limit(
    SPECS, 50_000, "words", "Known names that are compared with misspelled ones; further errors have no suggestion."
)
MAX_SCALE_LAYERS = Limit(
    SPECS, 10_000, "layers", "Layers of all scales together that `validate` checks; it names the scales beyond."
)
MAX_VOCABULARY_BYTES = Limit(SPECS, 16 * MIB, "bytes", "All vocabulary files of a spec together.")
MAX_VOCABULARY_TOKENS = Limit(SPECS, 1_000_000, "tokens", "Tokens of all vocabulary files of a spec together.")
MAX_EDITOR_CHARACTERS = Limit(
    SPECS, 2_000_000, "characters", "A spec in an editor; `jsonnx lsp` offers only diagnostics for longer ones."
)

# -- blocks, repetitions and expressions -----------------------------------------------------------------------------

MAX_BLOCK_DEPTH = Limit(EXPANSION, 64, "levels", "Blocks that use one another.")
MAX_TEMPLATES = Limit(EXPANSION, MAX_LAYERS // 10, "combinations", "Blocks with different arguments.")
MAX_EXPANDED_ENTRIES = Limit(EXPANSION, 2 * MAX_LAYERS, "entries", "Entries that are evaluated: those of a block once "
                             "for each combination of arguments.")  # fmt: skip
MAX_EXPRESSION_CHARACTERS = Limit(EXPANSION, 1_000, "characters", "One expression.")
MAX_EXPRESSION_DEPTH = Limit(EXPANSION, 32, "levels", "Parentheses and operators inside one another.")
MAX_EXPRESSION_ITEMS = Limit(EXPANSION, MAX_LAYERS, "items", "The items of a `range` or a comprehension.")
MAX_EXPRESSION_STEPS = Limit(EXPANSION, 1_000_000, "steps", "Tokens, array items and comparisons that the expressions "
                             "of a spec evaluate together.")  # fmt: skip
MAX_EXPRESSION_TEXT_CHARACTERS = Limit(EXPANSION, 10_000, "characters", "A text that an expression computes.")

# -- networks --------------------------------------------------------------------------------------------------------

MAX_ELEMENTS_PER_SAMPLE = Limit(NETWORKS, 2**31 - 1, "elements", "A tensor of one sample.")
MAX_OPERATORS = Limit(NETWORKS, 50_000, "operators", "ONNX operators that the layers of a network consist of.")
MAX_WEIGHTS_BYTES = Limit(
    NETWORKS, 1024 * GIB, "bytes", "The weights of a network. A command that needs them in memory may refuse fewer."
)
MAX_CONSTANT_BYTES = Limit(NETWORKS, 64 * MIB, "bytes", "One constant other than a weight, such as a causal mask.")
MAX_CONSTANTS_BYTES = Limit(NETWORKS, 256 * MIB, "bytes", "All constants other than weights together.")

# -- layers ----------------------------------------------------------------------------------------------------------

MAX_LAYER_OUTPUTS = Limit(LAYERS, 4_096, "outputs", "Outputs of one layer, such as `ops.split`.")
MAX_POOLING_TABLE_ELEMENTS = Limit(
    LAYERS, 2**24, "elements", "Input size times output size along an axis, in adaptive pooling."
)
MAX_HISTOGRAM_ELEMENTS = Limit(LAYERS, 2**31 - 1, "elements", "The histograms of `RandomCLAHE` for one image.")
MAX_WINDOW_SPAN = Limit(LAYERS, 2**31 - 1, "elements", "A dilated kernel or pooling window along an axis.")
MAX_TEXT_TOKENS = Limit(LAYERS, 1_000_000, "tokens", "`max_length` of a `Tokenizer`.")
MAX_NGRAM_TOKENS = Limit(LAYERS, 100, "tokens", "The longest n-gram of `TextVectorization`.")
MAX_UNROLLED_COPIES = Limit(LAYERS, 1_000, "copies", "Copies of a layer that `TimeDistributed` emits, one per step.")

# -- files of other programs -----------------------------------------------------------------------------------------

MAX_READ_BYTES = Limit(
    FOREIGN, 4 * GIB, "bytes", "Data of one file that take memory: compressed ones, and arrays in another element type."
)
MAX_READ_OBJECTS = Limit(FOREIGN, 200_000, "objects", "Groups, arrays, attributes and archive members of one file.")
MAX_READ_TEXT_BYTES = Limit(FOREIGN, 64 * MIB, "bytes", "JSON and names in one file.")
MAX_READ_SECONDS = Limit(FOREIGN, 60, "seconds", "Reading one file, HDF5's separate process included.")
MAX_ZIP_MEMBERS = Limit(FOREIGN, 20_000, "members", "Members of a zip archive (`.keras`, `.npz`).")
MAX_COMPRESSION_RATIO = Limit(FOREIGN, 1_032, "times", "Decompressed bytes per compressed byte: deflate's maximum.")
MAX_HDF5_GROUP_DEPTH = Limit(FOREIGN, 48, "levels", "HDF5 groups inside one another.")
MAX_HDF5_LINE_BYTES = Limit(FOREIGN, 96 * MIB, "bytes", "A line that the HDF5 process writes about an object.")
MAX_ONNX_FIELDS = Limit(FOREIGN, 2_000_000, "fields", "Protocol Buffers fields of an ONNX file.")
MAX_ONNX_GRAPH_DEPTH = Limit(FOREIGN, 16, "levels", "ONNX graphs inside one another.")
MAX_ONNX_TEXT_BYTES = Limit(FOREIGN, 64 * MIB, "bytes", "One string of an ONNX file, such as its metadata.")
MAX_ONNX_AXES = Limit(FOREIGN, 64, "axes", "Axes of a tensor in an ONNX file.")
MAX_TOKENIZER_BYTES = Limit(FOREIGN, 64 * MIB, "bytes", "The file of a `Tokenizer`.")
MAX_TOKENIZER_VALUES = Limit(FOREIGN, 8_000_000, "values", "Commas and opening brackets in the file of a `Tokenizer`.")
MAX_FOREIGN_GRAPH_BYTES = Limit(FOREIGN, 64 * MIB, "bytes", "The graph of an `OnnxModel` without its weights.")

# -- Keras models ----------------------------------------------------------------------------------------------------

MAX_KERAS_JSON_DEPTH = Limit(KERAS, 256, "levels", "Objects and arrays inside one another, in a model's JSON.")
MAX_KERAS_JSON_CONTAINERS = Limit(
    KERAS, 600_000, "objects and arrays", "Objects and arrays of a model's JSON; twice as many keys."
)
MAX_KERAS_LAYERS = Limit(KERAS, 10_000, "layers", "Layers of a model, with those of a nested model once for each call.")
MAX_KERAS_NESTING = Limit(KERAS, 24, "levels", "Layers that are arguments of other layers, such as `Bidirectional`.")
MAX_KERAS_MASK_DEPTH = Limit(KERAS, 16, "operations", "Operations between a mask and the layer that takes it.")

# -- data files ------------------------------------------------------------------------------------------------------

MAX_DATA_FILE_BYTES = Limit(
    DATA,
    8 * GIB,
    "bytes",
    "A data file, after decompression; the decoded images or recordings of a table or folder. Data whose samples are "
    "streamed may be larger.",
)
MAX_UNPACKED_BYTES = Limit(
    DATA,
    2 * GIB,
    "bytes",
    "A compressed table of text (`.csv.gz`), after decompression; the used columns of a `.parquet`, `.arrow` or "
    "`.feather` file in memory, unless the file has half as many bytes; a column of a block of rows that is streamed.",
)
MAX_DATA_FILES = Limit(DATA, 1_000_000, "files", "Files of a folder of data, or that a pattern matches.")
MAX_FILLED_ROWS = Limit(DATA, 10_000_000, "rows", 'Rows that `"gaps": "fill"` adds to time series.')
MAX_MEDIA_FILE_BYTES = Limit(DATA, 256 * MIB, "bytes", "An image, a recording or a text, as a file.")
MAX_IMAGE_PIXELS = Limit(DATA, 1 << 26, "pixels", "Width times height of an image file.")
MAX_CSV_COLUMNS = Limit(DATA, 1 << 16, "columns", "Columns of a CSV file.")
MAX_CSV_FIELD_CHARACTERS = Limit(DATA, 131_072, "characters", "A field of a CSV file.")
MAX_CSV_ROW_BYTES = Limit(DATA, 16 * MIB, "bytes", "A row of a CSV file.")
MAX_ABSENT_JSON_VALUES = Limit(
    DATA, 1 << 27, "values", "Values that rows of a JSON file lack, as each key of another row is a column."
)

LIMITS: dict[str, Limit] = {name: value for name, value in globals().items() if isinstance(value, Limit)}
"""All limits by name, in the order of the table."""


def require_computable(type: TensorType, noun: str) -> None:
    """Raises ShapeError `too-large` if a tensor that a layer computes on the way to its result is too large."""
    elements = prod(size for size in type.shape if isinstance(size, int))
    limit = f"the limit of a sample is {MAX_ELEMENTS_PER_SAMPLE:,} elements"
    require(elements <= MAX_ELEMENTS_PER_SAMPLE, f"computes {noun} {type}, {limit}", code="too-large")


def bytes_text(size: int) -> str:
    """A number of bytes with a unit: `120 bytes`, `4.0 TB`."""
    if size < 1000:
        return f"{size} bytes"
    amount, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:,.1f} {units[0]}"


def require_constant_size(text: str, *sizes: Dim, element_bytes: int = 4) -> None:
    """Raises ShapeError `too-large` if a constant with axes of these sizes exceeds `MAX_CONSTANT_BYTES`.

    `text` says what the constant is: `needs a table of 8 classes`. Symbolic sizes count as 1.
    """
    size = element_bytes * prod(axis for axis in sizes if isinstance(axis, int))
    limit = f"the limit of constants is {bytes_text(MAX_CONSTANT_BYTES)}"
    require(size <= MAX_CONSTANT_BYTES, f"{text} of {bytes_text(size)}, {limit}", code="too-large")
