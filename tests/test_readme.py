"""Every line of Python in the README runs, in order, as a reader would run it."""

import re
import warnings
from pathlib import Path

import pytest

from ceiba.errors import CollapseWarning

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
ON_THE_HUB = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def encoder_folder(tiny_encoder, tmp_path_factory):
    """Make a random encoder that reads as many tokens as the README asks for."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("readme-encoder")
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


def test_every_block_runs(encoder_folder, tmp_path, monkeypatch):
    assert len(BLOCKS) >= 2
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(BLOCKS):
        # the one thing that is not as the README has it: tests do not reach the hub
        code = block.replace(ON_THE_HUB, str(encoder_folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)
            exec(compile(code, f"README.md, block {number + 1}", "exec"), names)


PROBABILITIES = Path(__file__).parents[1] / "docs" / "explanation" / "probabilities.md"


def test_every_block_of_the_page_on_probabilities_runs():
    names = {}
    text = PROBABILITIES.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        exec(compile(block, f"probabilities.md, block {number + 1}", "exec"), names)
