"""Mix data or merge models? Data, trainings, merges, generations, judgments, tables and figures, in the paper's order."""

from snakemake.utils import min_version

min_version("9.27")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/merge.smk"
include: "rules/generate.smk"
include: "rules/judge.smk"
include: "rules/paper.smk"


rule all:
    """Everything that the experiment declares."""
    default_target: True
    input:
        every(*STAGES),
    message:
        "Everything that the experiment declares is there."


rule tables:
    """The tables alone, from scores that are there."""
    input:
        every("table"),


rule figures:
    """The figures alone, from scores and learning curves that are there."""
    input:
        every("figure"),
