from __future__ import annotations

import numpy as np
import pytest
import torch

from brain3d.model import Brain3DProcessor
from brain3d.scans.types import VolumeSpec

REPORTS = ["lesion in the left lobe .", "edema ."]


@pytest.fixture
def arrays(volumes) -> list[np.ndarray]:
    return [volume.numpy() for volume in volumes[:2]]


def test_a_training_batch_learns_the_report_and_its_end_only(processor, tokenizer, arrays):
    batch = processor(arrays, REPORTS)
    prompt = tokenizer(processor.prompt)["input_ids"]
    assert prompt[0] == tokenizer.bos_token_id
    report = tokenizer(REPORTS[0], add_special_tokens=False)["input_ids"]
    assert batch["input_ids"][0].tolist() == [3] * 4 + prompt + report + [1]
    assert batch["labels"][0].tolist() == [-100] * (4 + len(prompt)) + report + [1]
    assert batch["input_ids"][1, -4:].tolist() == [0] * 4
    assert batch["labels"][1, -5:].tolist() == [1] + [-100] * 4
    assert batch["attention_mask"].sum(1).tolist() == [batch["input_ids"].shape[1], 4 + len(prompt) + 3]
    assert batch["pixel_values"].shape == (2, 1, 8, 12, 16)
    assert batch["pixel_values"].dtype == torch.float32
    assert "token_type_ids" not in batch


def test_padding_on_the_left_when_asked(processor, arrays):
    batch = processor(arrays, REPORTS, padding_side="left")
    assert batch["labels"][:, -1].tolist() == [1, 1]
    assert batch["attention_mask"][1, :4].tolist() == [0] * 4
    with pytest.raises(ValueError, match="'middle'"):
        processor(arrays, REPORTS, padding_side="middle")


def test_a_batch_for_generation_ends_with_the_prompt(processor, arrays):
    batch = processor(arrays)
    assert batch.keys() == {"input_ids", "attention_mask", "pixel_values"}
    assert batch["input_ids"].tolist() == [processor.prefix_ids()] * 2
    assert torch.equal(processor(batch_size=2)["input_ids"], batch["input_ids"])


def test_a_long_report_is_cut(processor, arrays):
    labels = processor(arrays, REPORTS, max_report_tokens=3)["labels"]
    assert (labels != -100).sum(1).tolist() == [3, 3]
    assert labels[0, -1] != 1


def test_padding_and_labels_go_through_the_model(processor, make_model, arrays):
    model = make_model()
    batch = processor(arrays, REPORTS)
    alone = processor(arrays[1:], REPORTS[1:])
    with torch.no_grad():
        logits, expected = model(**batch).logits[1], model(**alone).logits[0]
        assert torch.isfinite(model(**batch).loss)
    torch.testing.assert_close(logits[: len(expected)], expected, atol=1e-5, rtol=1e-5)


def test_decoding_leaves_out_everything_but_the_report(processor, arrays):
    ids = processor(arrays, REPORTS)["input_ids"]
    assert processor.decode(ids) == REPORTS
    assert processor.decode([[9, 1, 0], [0, 3, 3]]) == ["for", ""]


def test_saving_beside_the_model_and_loading(processor, make_model, arrays, tmp_path):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = Brain3DProcessor.from_pretrained(tmp_path)
    assert loaded.volume_spec == VolumeSpec((8, 12, 16), 4.0)
    assert loaded.prompt == processor.prompt
    for name, tensor in processor(arrays, REPORTS).items():
        assert torch.equal(loaded(arrays, REPORTS)[name], tensor)


def test_what_does_not_fit_is_refused(processor, arrays, tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"volume 1 has shape \(1, 8, 12, 15\), expected \(1, 8, 12, 16\)"):
        processor([arrays[0], arrays[1][..., :15]])
    with pytest.raises(ValueError, match="volumes: 2, reports: 1"):
        processor(arrays, REPORTS[:1])
    with pytest.raises(ValueError, match="nothing"):
        processor()
    with pytest.raises(FileNotFoundError, match=r"processor_config\.json"):
        Brain3DProcessor.from_pretrained(tmp_path)
