"""Small tokenizers of each kind, and texts that are hard to tokenize."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "A man is eating food.",
    "a MAN eats something!",
    "",
    " ",
    "\t\n",
    "Caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00c5ngstr\u00f6m",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u043a\u0438\u0440\u0438\u043b\u043b\u0438\u0446\u0430",
    "\u6f22\u5b57\u304b\u306a and \ud55c\uae00",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 emoji\ufe0f",
    "e\u0301 combining, \u200bzero width, \u202eright to left",
    "[CLS] written [SEP] special [MASK] tokens [PAD]",
    "null \x00 and \x7f control",
    "word " * 400,
    "x" * 5000,
    "don't, won't; it's 3.14 % of $100,000",
]
CORPUS = [*TEXTS, "the food of a man", "eating is something that a man does", "words of a vocabulary"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_piece(size: int = 200) -> Tokenizer:
    """A tokenizer as BERT has it, with padding and truncation that are to be ignored."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained(tokenizer, trainers.WordPieceTrainer, size)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_padding(length=128, pad_id=0)
    tokenizer.enable_truncation(128)
    return tokenizer


def byte_level_bpe() -> Tokenizer:
    """A tokenizer as GPT-2 has it, which adds no special tokens and names no padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained(tokenizer, trainers.BpeTrainer, 400, special_tokens=["<|endoftext|>"])
    return tokenizer


def unigram() -> Tokenizer:
    """A tokenizer as T5 has it; it pads with 3."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trained(
        tokenizer, trainers.UnigramTrainer, 150, special_tokens=["<s>", "</s>", "<unk>", "<pad>"], unk_token="<unk>"
    )
    return tokenizer


KINDS = {"word_piece": word_piece, "byte_level_bpe": byte_level_bpe, "unigram": unigram}
PADDING_IDS = {"word_piece": 0, "byte_level_bpe": 0, "unigram": 3}


def trained(tokenizer: Tokenizer, trainer: Any, size: int, **options: Any) -> None:
    options = {"special_tokens": SPECIAL} | options
    tokenizer.train_from_iterator(CORPUS, trainer(vocab_size=size, show_progress=False, **options))
