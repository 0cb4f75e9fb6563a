"""What Snakemake prints of jobs that would run: what changed, in a few lines; and looking writes nothing."""

import re

from bench.stale.patches.code import version
from bench.stale.run import Run

REASON = re.compile(r"^ +reason: (.*)$", re.MULTILINE)
COMMAND = re.compile(r"^(?: +|Shell command: )(python -m workflow_scripts .*)$", re.MULTILINE)


CHANGED = {"learning_rate": 3.0e-3, "warmup_steps": 3, "weight_decay": 0.125, "epochs": 2.0}


def edited(run: Run) -> Run:
    """Settings and inputs of many artifacts changed."""
    run.config["training"]["sft"] |= CHANGED
    run.config["mixtures"]["mix"] |= {"seed": 7, "parts": {"general": 0.5, "safety": 0.5}}
    run.config["models"]["slerp"]["parents"] = ["safety", "general"]
    run.config["generation"]["max_new_tokens"] = 23
    return run


def test_what_changed_is_seen_below_a_job_that_runs_too(nano: Run) -> None:
    """Trainings wait for the check of overlaps, which does not make them stale; Snakemake must still look at them."""
    jobs = edited(nano).snakemake("-n").jobs
    assert (jobs["mixture"], jobs["overlap"], jobs["train"], jobs["merge"], jobs["generate"]) == (1, 1, 3, 1, 5)


def test_a_reason_says_what_changed_in_at_most_a_thousand_characters(nano: Run) -> None:
    nano.config["training"]["sft"] |= CHANGED
    nano.config["models"]["general"] |= {"mixture": "mix", "parent": "init"}
    nano.config["models"]["mix"]["mixture"] = "general"
    nano.config["judges"]["rules"]["temperature"] = 0.5
    nano.config["tables"]["table1"]["caption"] = "Other words " * 40
    version("trl", "99.0")(nano)
    outcome = nano.snakemake("-n")
    assert outcome.status == 0, outcome.output
    reasons = [found[found.index("Params") :] for found in REASON.findall(outcome.output) if "Params" in found]
    assert max(map(len, reasons)) <= 1_000
    trained = next(reason for reason in reasons if "parent=init" in reason)
    for name in (
        "learning_rate=0.003",
        "learning_rate=0.002",
        "warmup_steps=3",
        "epochs=2",
        "mixture=mix",
        'trl="99.0"',
    ):
        assert name in trained
    (judged,) = [reason for reason in reasons if "metric=labels" in reason]
    assert "temperature=0.5" in judged and "code:" not in judged, "what did not change is not printed"


def test_commands_are_short(nano: Run) -> None:
    commands = COMMAND.findall(edited(nano).snakemake("-n", "-p").output)
    assert len(commands) > 10
    assert max(map(len, commands)) <= 300


def test_a_dry_run_writes_down_no_jobs(nano: Run) -> None:
    jobs = nano.folder / "results/.jobs"
    before = sorted(jobs.iterdir())
    assert "rule train" in edited(nano).snakemake("-n").output
    assert sorted(jobs.iterdir()) == before


def test_a_dry_run_prints_what_a_run_would_ask_and_goes_on(nano: Run) -> None:
    nano.config["machine"] = {"ask_above": {"gpu_hours": 0, "cpu_hours": 0, "usd": 0}}
    version("trl", "99.0")(nano)
    outcome = nano.snakemake("-n")
    assert outcome.status == 0 and outcome.jobs["train"] == 4
    assert "trl: " in outcome.output and "is now 99.0 (4 artifacts)" in outcome.output
    assert 'make keep KEEP="train*"' in outcome.output
