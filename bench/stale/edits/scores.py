"""Answers, judges, tables and figures."""

from bench.stale.edit import Edit
from bench.stale.patches.code import edit
from bench.stale.patches.config import put
from bench.stale.size import HARM, JUDGED, MODELS, PREFERENCE, PROMPTS, PROMPTS_OF_GENERAL

EDITS = [
    Edit(
        "shorter answers",
        put("generation.max_new_tokens", 4),
        merges=1,
        completions=MODELS * PROMPTS,
        questions=HARM + PREFERENCE,
        alters=JUDGED,
    ),
    # Judges
    Edit(
        "a judge prompt's text",
        edit("workflow_scripts/llm/prompt_files/harm-v1.txt", lambda text: "Listen. " + text),
        questions=HARM,
    ),
    Edit("a judge's temperature", put("judges.rules.temperature", 0.5), questions=HARM + PREFERENCE),
    Edit(
        "a judge added",
        put("judges.strict", {"model": "mixmerge/rules", "max_tokens": 99}),
        questions=HARM + PREFERENCE,
    ),
    Edit("a second name for a judge", put("judges.same", {"model": "mixmerge/rules"})),
    # Tables and figures
    Edit("a table's columns", put("tables.table1.metrics", ["harm"]), alters=("table1",)),
    Edit("a table's caption", put("tables.table1.caption", "In other words"), alters=("table1",)),
    Edit("a table added", put("tables.mine", {"caption": "Mine", "rows": {"TIES": "ties"}})),
    Edit("a figure's colour", put("figures.figure2.colors", {"Mix": "#aa0000"}), alters=("figure2",)),
    Edit("the bootstrap's draws", put("bootstrap.resamples", 300), alters=JUDGED),
    Edit(
        "a contrast added",
        put("contrasts.slerp", {"mix": "mix", "merge": "slerp", "matched": "none"}),
        questions=2 * PROMPTS_OF_GENERAL,  # each prompt in both orders, of one with the other
        alters=JUDGED,
    ),
    Edit("a paper's values", put("reproduces", "2410.10801"), alters=JUDGED),
]
