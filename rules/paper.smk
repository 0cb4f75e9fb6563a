"""The paper's tables and figures, from the scores alone, and from what merges reported.

REQUIRED INPUTS: scores; manifests of merges by SLERP that are shown; learning curves for the figure of them. OUTPUTS: tables/*.{csv,md,tex}, figures/*.{svg,png,csv}
"""


rule table:
    """Print a table."""
    input:
        unpack(inputs_of("table")),
    output:
        **outputs_of("table"),
    log:
        log_of("table"),
    wildcard_constraints:
        **only("table"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("table"),
    shell:
        "python -m workflow_scripts table {params.job} > {log} 2>&1"


rule figure:
    """Draw a figure."""
    input:
        unpack(inputs_of("figure")),
    output:
        **outputs_of("figure"),
    log:
        log_of("figure"),
    wildcard_constraints:
        **only("figure"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("figure"),
    shell:
        "python -m workflow_scripts figure {params.job} > {log} 2>&1"
