"""What has no order: written in another one, the same is made, to the digit, and nothing is made again.

Both parts of `mix` end in a half row: 46.5 and 15.5 of 62.  Which of them gets the row must not depend on their order,
so it is drawn again from the parts in the opposite one.
"""

from bench.stale.edit import Edit, together
from bench.stale.patches.config import put, reorder, reorder_all_keys
from bench.stale.patches.files import backwards, delete, prompts

EDITS = [
    Edit("languages reordered", reorder("languages")),
    Edit("languages of a mixture reordered", put("mixtures.mix.languages", ["fr", "en"])),
    Edit("parts of a mixture reordered", reorder("mixtures.mix.parts"), idle=True),
    Edit(
        "parts of a mixture reordered, and it is drawn again",
        together(reorder("mixtures.mix.parts"), delete("results/nano/data/mixtures/mix.parquet")),
    ),
    Edit("prompts reordered", prompts(backwards)),
    Edit("models reordered", reorder("models"), idle=True),
    Edit("all keys reordered", reorder_all_keys, idle=True),
]
