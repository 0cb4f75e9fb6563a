"""Settings of how work is executed, which do not decide what comes out."""

from bench.stale.edit import Edit
from bench.stale.patches.config import put

EDITS = [
    Edit(f"{what}: {key.rpartition('.')[2]}", put(key, value), idle=True)
    for what, key, value in (
        ("how a judge is asked", "judges.rules.concurrency", 3),
        ("how a judge is asked", "judges.rules.rpm", 10_000),
        ("how a judge is asked", "judges.rules.timeout", 7.0),
        ("how models answer", "generation.batch_size", 3),
        ("how models answer", "generation.threads", 2),
        ("how a training runs", "training.sft.accumulation", 2),
        ("how a training runs", "training.sft.save_steps", 3),
        ("how a training runs", "training.dpo.logging_steps", 2),
        ("how a training runs", "training.sft.gradient_checkpointing", True),
        ("how a training runs", "training.sft.threads", 2),
        ("what jobs run on", "machine.gpu_memory", 40.0),
    )
]
