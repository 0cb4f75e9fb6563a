"""The experiment of tests/configs/stale.yaml in numbers, from which rows say what they owe."""

from typing import Any

BASE = 3 * 800 // 16  # steps: 3 epochs of 400 rows in 2 languages, 16 at a time
MIX = 4  # 124 rows, 32 at a time
SAFETY = 2 * 48 // 32
DPO = 2  # 124 rows, 64 at a time

PROMPTS_OF_GENERAL, PROMPTS_OF_REDTEAM = 2 * 4, 2 * 5
PROMPTS = PROMPTS_OF_GENERAL + PROMPTS_OF_REDTEAM
MODELS = 6  # that answer: base, mix, safety, slerp, slerp-dpo, ties
HARM = MODELS * PROMPTS_OF_REDTEAM
PREFERENCE = MODELS * PROMPTS_OF_GENERAL * 2  # all but the baseline, and the sides of the contrast, in two orders
EACH = PROMPTS_OF_REDTEAM + 2 * PROMPTS_OF_GENERAL  # questions about one model
TENSORS = 2 * 8 + 2  # of each of two layers, embeddings, last norm

ALL = ("table1", "contrasts", "figure2", "learning")
JUDGED = ("table1", "contrasts", "figure2")
WHOLE: dict[str, Any] = {
    "steps": BASE + MIX + SAFETY + DPO,
    "merges": 2,
    "completions": MODELS * PROMPTS,
    "questions": HARM + PREFERENCE,
}
# Retraining mix or safety also moves slerp, slerp-dpo and ties.
RETRAINED: dict[str, Any] = {"merges": 2, "completions": 4 * PROMPTS, "questions": 4 * EACH, "alters": ALL}
# One merge made again, which has no child; and one answered again.
MERGED: dict[str, Any] = {"merges": 1, "completions": PROMPTS, "questions": EACH, "alters": JUDGED}

MODEL = "results/nano/seed0/models"
ANSWERS = "results/nano/seed0/generations"
SCORES = "results/nano/seed0/scores"
