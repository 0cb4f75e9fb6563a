"""Mixtures, sources and suites.

The rows of a mixture decide about its trainings and all that follows from them, and about nothing else.
"""

from bench.stale.edit import Edit, run, together
from bench.stale.patches.config import drop, put
from bench.stale.patches.files import one_less, one_more, prompts, reword
from bench.stale.size import ALL, DPO, EACH, JUDGED, MIX, MODELS, PROMPTS, RETRAINED, SAFETY

EDITS = [
    Edit(
        "a mixture's fractions",
        put("mixtures.mix.parts", {"general": 0.5, "safety": 0.5}),
        steps=MIX + DPO,
        **RETRAINED,
    ),
    Edit("a mixture's seed", put("mixtures.safety.seed", 1), steps=SAFETY + DPO, **RETRAINED),
    Edit("a mixture's rows", put("mixtures.safety.per_language", 32), steps=2 * 32 // 32 + DPO, **RETRAINED),
    Edit(
        "a mixture's seed, and a run that ended once it was drawn",
        together(put("mixtures.safety.seed", 1), run("results/nano/data/mixtures/safety.parquet")),
        steps=SAFETY + DPO,
        **RETRAINED,
    ),
    Edit(
        "a source's seed",  # safety is a part of mix too
        put("sources.safety.seed", 99),
        steps=SAFETY + MIX + DPO,
        merges=2,
        completions=5 * PROMPTS,
        questions=5 * EACH,
        alters=ALL,
    ),
    Edit("a source's licence", put("sources.redteam.licence", "CC0-1.0")),
    Edit("a language added to the sources", put("languages", ["en", "fr", "es"])),
    Edit(
        "a language added to a mixture",
        together(put("languages", ["en", "fr", "es"]), put("mixtures.safety.languages", ["en", "fr", "es"])),
        steps=3 * 48 // 32 + 1 + DPO,  # 144 rows: four batches and a half
        **RETRAINED,
    ),
    Edit(
        "a language removed from a mixture",
        put("mixtures.safety.languages", ["en"]),
        steps=2 + DPO,  # 48 rows: a batch and a half
        **RETRAINED,
    ),
    # Suites
    Edit("a prompt edited", prompts(reword), completions=MODELS, questions=MODELS, merges=1, alters=JUDGED),
    Edit("a prompt added", prompts(one_more), completions=MODELS, questions=MODELS, merges=1, alters=JUDGED),
    Edit("a prompt removed", prompts(one_less), alters=JUDGED),
    Edit(
        "a suite added",
        put("suites.more", {"source": "general", "split": "validation", "per_language": 2, "metric": "preference"}),
        merges=1,
        completions=MODELS * 4,
        questions=(MODELS - 1) * 4 * 2,
        alters=JUDGED,
    ),
    Edit(
        "a suite renamed",
        together(put("suites.danger", {"source": "redteam", "metric": "harm"}), drop("suites.redteam")),
    ),
    Edit("a suite made shorter", put("suites.general.per_language", 2), alters=JUDGED),
    Edit(
        "a suite made longer",
        put("suites.general.per_language", 6),
        merges=1,
        completions=MODELS * 4,
        questions=(MODELS - 1) * 4 * 2,
        alters=JUDGED,
    ),
    Edit("a language removed from a suite", put("suites.general.languages", ["en"]), alters=JUDGED),
]
