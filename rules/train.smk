"""Models that are not merged: random ones, loaded ones, adapters that exist, and trainings of a parent on a mixture.

REQUIRED INPUTS: mixtures; for a training its parent. OUTPUTS: models/{model}/, and curves/{model}.parquet of a training
"""


rule initialise:
    """Make a model with random weights, and a tokenizer of a mixture's words."""
    input:
        unpack(inputs_of("initialise")),
    output:
        **outputs_of("initialise"),
    log:
        log_of("initialise"),
    wildcard_constraints:
        **only("initialise"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("initialise"),
    params:
        **params_of("initialise"),
    shell:
        "python -m workflow_scripts initialise {params.job} > {log} 2>&1"


rule load:
    """Take a model that exists, from a folder or the hub's cache."""
    input:
        unpack(inputs_of("load")),
    output:
        **outputs_of("load"),
    log:
        log_of("load"),
    wildcard_constraints:
        **only("load"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("load"),
    params:
        **params_of("load"),
    shell:
        "python -m workflow_scripts load {params.job} > {log} 2>&1"


rule adapt:
    """Merge an adapter that exists, from a folder or the hub's cache, into its base."""
    input:
        unpack(inputs_of("adapt")),
    output:
        **outputs_of("adapt"),
    log:
        log_of("adapt"),
    wildcard_constraints:
        **only("adapt"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("adapt"),
    params:
        **params_of("adapt"),
    shell:
        "python -m workflow_scripts adapt {params.job} > {log} 2>&1"


rule train:
    """Train a parent on the selected rows of a mixture (SFT or DPO, full weights or LoRA)."""
    input:
        unpack(inputs_of("train")),
    output:
        **outputs_of("train"),
    log:
        log_of("train"),
    wildcard_constraints:
        **only("train"),
    conda:
        "../envs/mixmerge.yaml"
    threads: threads_of_training
    resources:
        **needs("train"),
    params:
        **params_of("train"),
    shell:
        "python -m workflow_scripts train {params.job} > {log} 2>&1"
