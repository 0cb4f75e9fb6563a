"""Sources, the mixtures drawn from them for training, and the suites held out for evaluation.

A source may be a dataset of the hub, a translation of another source, or synthesised from one through language models (one job
asks at a time, as when judging). Mixtures and suites must have no prompt in common.

REQUIRED INPUTS: the files that the config names, if any.
OUTPUTS: data/{sources,mixtures,suites}/*.parquet, data/translations/*.parquet (their quality), data/synthesis/*.parquet (the
yields), data/overlap.parquet
"""


rule source:
    """Bring the rows of a source into one schema."""
    input:
        unpack(inputs_of("source")),
    output:
        **outputs_of("source"),
    log:
        log_of("source"),
    wildcard_constraints:
        **only("source"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("source"),
    shell:
        "python -m workflow_scripts source {params.job} > {log} 2>&1"


rule dataset:
    """Bring the rows of a published dataset into one schema, and split them by source prompt."""
    input:
        unpack(inputs_of("dataset")),
    output:
        **outputs_of("dataset"),
    log:
        log_of("dataset"),
    wildcard_constraints:
        **only("dataset"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("dataset"),
    shell:
        "python -m workflow_scripts dataset {params.job} > {log} 2>&1"


rule translate:
    """Translate the rows of another source, and keep them together."""
    input:
        unpack(inputs_of("translate")),
    output:
        **outputs_of("translate"),
    log:
        log_of("translate"),
    wildcard_constraints:
        **only("translate"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("translate"),
        judge=takes_turns("translate"),
    params:
        **params_of("translate"),
    shell:
        "python -m workflow_scripts translate {params.job} > {log} 2>&1"


rule synthesise:
    """Make safety data from another source: rephrase its prompts, complete them, keep the safe completions."""
    input:
        unpack(inputs_of("synthesise")),
    output:
        **outputs_of("synthesise"),
    log:
        log_of("synthesise"),
    wildcard_constraints:
        **only("synthesise"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    resources:
        judge=1,
    params:
        **params_of("synthesise"),
    shell:
        "python -m workflow_scripts synthesise {params.job} > {log} 2>&1"


rule mixture:
    """Draw a training set from sources in stated fractions."""
    input:
        unpack(inputs_of("mixture")),
    output:
        **outputs_of("mixture"),
    log:
        log_of("mixture"),
    wildcard_constraints:
        **only("mixture"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("mixture"),
    shell:
        "python -m workflow_scripts mixture {params.job} > {log} 2>&1"


rule suite:
    """Choose the held-out prompts of a suite."""
    input:
        unpack(inputs_of("suite")),
    output:
        **outputs_of("suite"),
    log:
        log_of("suite"),
    wildcard_constraints:
        **only("suite"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("suite"),
    shell:
        "python -m workflow_scripts suite {params.job} > {log} 2>&1"


rule overlap:
    """Compare what is trained on with what is evaluated on, before a training is paid: a breach stops the run."""
    input:
        unpack(inputs_of("overlap")),
    output:
        **outputs_of("overlap"),
    log:
        log_of("overlap"),
    wildcard_constraints:
        **only("overlap"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("overlap"),
    shell:
        "python -m workflow_scripts overlap {params.job} > {log} 2>&1"
