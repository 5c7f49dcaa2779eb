"""The words that a GPU is made to write fast are those that `generate` writes; tried on a CPU, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from brain3d.reading import Decoding
from brain3d.reading.engine import ModelEngine
from brain3d.reading.models import EMBEDDED, find_model, identity, sample_scan
from brain3d.reading.reader import Reader
from brain3d.scans import mirror, prepare, read_scan


@pytest.fixture(scope="module")
def embedded() -> ModelEngine:
    folder = find_model(EMBEDDED)
    return ModelEngine.from_folder(folder, identity(folder), torch.device("cpu"), EMBEDDED)


@pytest.fixture
def engine(embedded: ModelEngine) -> Iterator[ModelEngine]:
    stated = deepcopy(embedded.model.generation_config)
    yield embedded
    embedded.fast, embedded._kept = None, None
    embedded.model.generation_config = stated


def test_reports_are_the_same_words(engine: ModelEngine) -> None:
    """Of the sample, its mirror image, and tokens about them: texts of several lengths, complete and cut short."""
    volume = prepare(read_scan(sample_scan()), engine.spec)
    seen = engine.encode([volume.data, mirror(volume).data])
    torch.manual_seed(0)
    features = [token + scale * torch.randn_like(token) for scale in (0, 0.3, 0.6) for token in seen]
    usual = [engine.write(features, Decoding(max_new_tokens=count)) for count in (192, 20)]
    assert len({len(one.text) for one in usual[0]}) > 2
    assert {one.complete for one in usual[1]} >= {False}
    engine.fast = "plain"
    assert [engine.write(features, Decoding(max_new_tokens=count)) for count in (192, 20)] == usual
    kept = engine._kept
    assert kept is not None
    assert [engine.write([one], Decoding())[0] for one in features] == usual[0]
    assert engine._kept is not kept
    kept = engine._kept
    engine.write(features[:1], Decoding())
    assert engine._kept is kept


def test_what_asks_for_more_than_the_likeliest_word_is_left_to_generate(engine: ModelEngine) -> None:
    volume = prepare(read_scan(sample_scan()), engine.spec)
    (features,) = engine.encode([volume.data])
    plain = Decoding(max_new_tokens=8)
    for change in (
        {"do_sample": True},
        {"repetition_penalty": 1.2},
        {"no_repeat_ngram_size": 3},
        {"min_new_tokens": 4},
    ):
        decoding = replace(plain, **change)
        usual = engine.write([features], decoding)
        engine.fast = "plain"
        assert engine.write([features], decoding) == usual
        assert engine._kept is None
        engine.fast = None


def test_rules_of_the_model_itself_are_left_to_generate(engine: ModelEngine) -> None:
    """A token that its generation config forbids is written in neither way."""
    volume = prepare(read_scan(sample_scan()), engine.spec)
    (features,) = engine.encode([volume.data])
    plain = Decoding(max_new_tokens=8)
    (free,) = engine.write([features], plain)
    tokens = engine.processor.tokenizer(free.text, add_special_tokens=False)["input_ids"]
    engine.model.generation_config.suppress_tokens = tokens[1:3]
    ruled = engine.write([features], plain)
    assert ruled != [free]
    engine.fast = "plain"
    assert engine.write([features], plain) == ruled


def test_rules_that_the_caller_leaves_off_are_off(engine: ModelEngine) -> None:
    """Whatever the model's generation config says, in either way."""
    volume = prepare(read_scan(sample_scan()), engine.spec)
    (features,) = engine.encode([volume.data])
    free = engine.write([features], Decoding())
    engine.model.generation_config.update(repetition_penalty=5.0, no_repeat_ngram_size=1, min_new_tokens=100)
    assert engine.write([features], engine.decoding) != free
    assert engine.write([features], Decoding()) == free
    engine.fast = "plain"
    assert engine.write([features], Decoding()) == free
    assert engine._kept is not None


def test_a_cpu_needs_none_of_it(embedded: ModelEngine) -> None:
    assert embedded.fast is None
    assert Reader(embedded).report(sample_scan(), max_new_tokens=8).text
    assert embedded._kept is None
