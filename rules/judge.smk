"""The scores of each model's answers to each suite, by each judge. A provider's limits are for all: its jobs take turns.

A judge with `batch: true` is asked about a model in one go, through submit and collect; the jobs that follow find its
answers in the ledger. No rule here asks for a GPU, and one that waits for a batch takes no core either.

REQUIRED INPUTS: generations of the model and, to compare, of another; labelled answers.
OUTPUTS: scores/{judge}/{model}/{suite}.parquet, scores/{judge}/{model}/{suite}.vs.{against}.parquet,
labels/{judge}/{suite}.parquet; of batches batches/{judge}/{model}/{sent,answered}.json, labels/{judge}/batch/
"""


rule submit:
    """Hand in what a judge is asked about a model, as batches."""
    input:
        unpack(inputs_of("submit")),
    output:
        **outputs_of("submit"),
    log:
        log_of("submit"),
    wildcard_constraints:
        **only("submit"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=1,
    params:
        **params_of("submit"),
    shell:
        "python -m workflow_scripts submit {params.job} > {log} 2>&1"


rule submit_labels:
    """Hand in what a judge is asked about labelled answers, as batches."""
    input:
        unpack(inputs_of("submit_labels")),
    output:
        **outputs_of("submit_labels"),
    log:
        log_of("submit_labels"),
    wildcard_constraints:
        **only("submit_labels"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=1,
    params:
        **params_of("submit_labels"),
    shell:
        "python -m workflow_scripts submit {params.job} > {log} 2>&1"


rule collect:
    """Wait for batches and bring their answers into the ledger; after a kill it goes on waiting."""
    input:
        unpack(inputs_of("collect")),
    output:
        **outputs_of("collect"),
    log:
        log_of("collect"),
    wildcard_constraints:
        **only("collect"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    threads: 0
    params:
        **params_of("collect"),
    shell:
        "python -m workflow_scripts collect {params.job} > {log} 2>&1"


rule collect_labels:
    """Wait for the batches of labelled answers."""
    input:
        unpack(inputs_of("collect_labels")),
    output:
        **outputs_of("collect_labels"),
    log:
        log_of("collect_labels"),
    wildcard_constraints:
        **only("collect_labels"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    threads: 0
    params:
        **params_of("collect_labels"),
    shell:
        "python -m workflow_scripts collect {params.job} > {log} 2>&1"


rule judge:
    """Judge a model's answers to a suite: harm by itself, ability against the baseline."""
    input:
        unpack(inputs_of("judge")),
    output:
        **outputs_of("judge"),
    log:
        log_of("judge"),
    wildcard_constraints:
        **only("judge"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=takes_turns("judge"),
    params:
        **params_of("judge"),
    shell:
        "python -m workflow_scripts judge {params.job} > {log} 2>&1"


rule compare:
    """Judge the two sides of a contrast against one another."""
    input:
        unpack(inputs_of("compare")),
    output:
        **outputs_of("compare"),
    log:
        log_of("compare"),
    wildcard_constraints:
        **only("compare"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=takes_turns("compare"),
    params:
        **params_of("compare"),
    shell:
        "python -m workflow_scripts judge {params.job} > {log} 2>&1"


rule calibrate:
    """Judge labelled answers, to measure the judge."""
    input:
        unpack(inputs_of("calibrate")),
    output:
        **outputs_of("calibrate"),
    log:
        log_of("calibrate"),
    wildcard_constraints:
        **only("calibrate"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=takes_turns("calibrate"),
    params:
        **params_of("calibrate"),
    shell:
        "python -m workflow_scripts judge {params.job} > {log} 2>&1"
