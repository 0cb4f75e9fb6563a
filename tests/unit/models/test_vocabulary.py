import json
from pathlib import Path

import pytest

from tests import families
from workflow_scripts.base.errors import UserError
from workflow_scripts.models.vocabulary import Vocabulary


@pytest.fixture(params=["llama", "gemma3"])
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Vocabulary:
    """Of a model with an embedding of 300 rows, in a nested section for a wrapper."""
    config = {"vocab_size": 300}
    whole = {"text_config": config, "vocab_size": 7} if request.param == "gemma3" else config
    (tmp_path / "config.json").write_text(json.dumps(whole))
    return Vocabulary(tmp_path, families.tokenizer())


def test_tokens_beyond_the_embedding_are_named_with_their_ids(known: Vocabulary) -> None:
    known.check([0, 5, 299])
    with pytest.raises(UserError, match=r"300 rows \(vocab_size\).*: 300 \(.+\), 301 \(.+\); .*resize") as caught:
        known.check([301, 5, 300, 301])
    assert "\n" not in str(caught.value)


def test_padding_is_a_token_that_the_embedding_has(known: Vocabulary) -> None:
    assert known.padding() == families.PAD
    known.size = families.PAD
    assert known.padding() == 0


def test_a_config_without_a_vocabulary_refuses_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    Vocabulary(tmp_path, families.tokenizer()).check([10**6])
