"""Makes a model with random weights and a tokenizer of the words in some rows."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CohereConfig, CohereForCausalLM, GenerationConfig, PreTrainedTokenizerFast

from workflow_scripts.base.errors import UserError
from workflow_scripts.train.quiet import quieten

PAD, UNKNOWN, BOS = "<PAD>", "<UNK>", "<BOS_TOKEN>"
TURN, USER, CHATBOT, END = "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"
SPECIAL = [PAD, UNKNOWN, BOS, TURN, USER, CHATBOT, END]

# Aya's form: https://huggingface.co/CohereLabs/aya-23-8B (tokenizer_config.json).  The prompt with generation prompt is
# a prefix of prompt and completion, so that generation sees exactly what training saw.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '" + TURN + USER + "' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '" + TURN + CHATBOT + "' + message['content'] }}"
    "{% else %}{{ raise_exception('only user and assistant turns') }}{% endif %}{{ '" + END + "' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + TURN + CHATBOT + "' }}{% endif %}"
)


def initialise(recipe: dict[str, Any], rows: pa.Table, output: Path) -> None:
    """Write a random Cohere model and a tokenizer of the words in some rows.

    Args:
        recipe: `architecture`, the fields of transformers' CohereConfig, and `seed`.
        rows: of schema records.ROWS; the words of prompts and answers become the vocabulary.
        output: the model directory to write.

    Raises:
        UserError: the architecture is not one that CohereConfig accepts, or the rows hold no word.
    """
    quieten()
    words = {
        word
        for column in ("prompt", "completion", "rejected")
        for text in rows[column].unique().to_pylist()
        for word in (text or "").split()
    }
    if not words:
        raise UserError("tokenizer: its mixture holds no text; give it rows")
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *sorted(words - set(SPECIAL))])}
    words_alone = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    words_alone.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words_alone,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=END,
        additional_special_tokens=[TURN, USER, CHATBOT],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        chat_template=TEMPLATE,
    )
    ids = {"bos_token_id": vocabulary[BOS], "eos_token_id": vocabulary[END], "pad_token_id": vocabulary[PAD]}
    if unknown := sorted(recipe["architecture"].keys() - CohereConfig.__dataclass_fields__.keys()):
        raise UserError(f"architecture: no field is called {unknown[0]}; see transformers' CohereConfig for its fields")
    torch.manual_seed(recipe["seed"])
    try:
        model = CohereForCausalLM(CohereConfig(**recipe["architecture"], vocab_size=len(vocabulary), **ids)).float()
    except (TypeError, ValueError, RuntimeError, StrictDataclassError) as error:
        raise UserError(
            f"architecture: {' '.join(str(error).split())}; see transformers' CohereConfig for its fields"
        ) from None
    model.generation_config = GenerationConfig(**ids)
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output, max_shard_size="1TB")
    tokenizer.save_pretrained(output)
