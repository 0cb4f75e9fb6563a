"""The answers of each model to all suites, with one start of the engine.

REQUIRED INPUTS: a model, the suites. OUTPUTS: generations/{model}/<suite>.parquet
"""


rule generate:
    """Answer every suite with a model."""
    input:
        unpack(inputs_of("generate")),
    output:
        **outputs_of("generate"),
    log:
        log_of("generate"),
    wildcard_constraints:
        **only("generate"),
    # Before further merges, where weights lie waiting for their answers.
    priority: 0 if CONFIG.keep_merges else 1
    conda:
        "../envs/mixmerge.yaml"
    threads: CONFIG.generation.threads
    resources:
        **needs("generate"),
    params:
        **params_of("generate"),
    shell:
        "python -m workflow_scripts generate {params.job} > {log} 2>&1"
