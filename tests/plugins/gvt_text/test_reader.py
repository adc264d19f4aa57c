"""From texts to the numbers of their words."""

import json

import pytest
import torch

import gvt
from gvt_text.reader import TextReader, places_in, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GOOD, isn\u2019t it?", ["it's", "good", "isn\u2019t", "it"]),
        ("one<br /><br />two<BR>three", ["one", "two", "three"]),
        ("'quoted' snake_case 10/10 Größe", ["quoted", "snake", "case", "10", "10", "größe"]),
        ("\u0130stanbul is one word", ["istanbul", "is", "one", "word"]),
        ("... !?", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert words_in(text) == words
    marked = [text[start:end].replace("\u0130", "i").lower() for start, end in places_in(text)]
    assert marked == words


def test_the_vocabulary_has_the_most_frequent_words_by_name_among_equals():
    texts = ["b a", "b a c", "b d"]
    assert TextReader.fitted(texts, 6, 4).words == ("b", "a", "c", "d")
    assert TextReader.fitted(reversed(texts), 5, 4).words == ("b", "a", "c")
    assert TextReader.fitted(texts, 100, 4).size == 6


def test_the_last_words_are_kept_and_short_texts_are_padded_at_the_front():
    reader = TextReader(("b", "a"), 3)
    tokens = reader.tokens(["a b a b b", "A x", ""])
    assert tokens.tolist() == [[3, 2, 2], [0, 3, 1], [0, 0, 0]]
    assert tokens.dtype == torch.int64
    assert reader.tokens([]).shape == (0, 3) and reader.tokens([]).dtype == torch.int64


def test_a_document_is_plain_data_and_makes_the_same_reader():
    reader = TextReader(("b", "a"), 3)
    assert TextReader.from_document(json.loads(json.dumps(reader.document()))) == reader


@pytest.mark.parametrize("document", [None, {"channels": 3}])
def test_a_document_of_images_is_one_line(document):
    with pytest.raises(gvt.DataError, match="has no texts; text_folder is a data set of texts"):
        TextReader.from_document(document)
