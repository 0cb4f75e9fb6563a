"""Merges of parents. Weights that no other model needs may be temporary: they lie in the store until they have answered.

REQUIRED INPUTS: the parents and, for task vectors, the base. OUTPUTS: models/{model}/
"""


rule merge:
    """Merge models with mergekit."""
    input:
        unpack(inputs_of("merge")),
    output:
        **outputs_of("merge"),
    log:
        log_of("merge"),
    wildcard_constraints:
        **only("merge"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("merge"),
    params:
        **params_of("merge"),
    shell:
        "python -m workflow_scripts merge {params.job} > {log} 2>&1"


rule merge_temporary:
    """Merge models, and leave the weights in the store."""
    input:
        unpack(inputs_of("merge_temporary")),
    output:
        **outputs_of("merge_temporary"),
    log:
        log_of("merge_temporary"),
    wildcard_constraints:
        **only("merge_temporary"),
    conda:
        "../envs/mixmerge.yaml"
    resources:
        **needs("merge_temporary"),
    params:
        **params_of("merge_temporary"),
    shell:
        "python -m workflow_scripts merge {params.job} > {log} 2>&1"
