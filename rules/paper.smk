"""The paper's tables and figures, from the scores alone.

REQUIRED INPUTS: scores; learning curves for the figure of them. OUTPUTS: tables/*.{csv,md,tex}, figures/*.{svg,png,csv}
"""


rule table:
    """Print a table."""
    input:
        scores=lambda wildcards: scores_for("tables", wildcards.table),
    output:
        multiext("results/{experiment}/tables/{table}", ".csv", ".md", ".tex"),
    log:
        "logs/{experiment}/table/{table}.log",
    conda:
        "../envs/mixmerge.yaml"
    params:
        recipe=lambda wildcards: RECIPES.table(wildcards.table),
        stem="results/{experiment}/tables/{table}",
    shell:
        "python -m workflow_scripts table --recipe {params.recipe:q} --scores {input.scores}"
        " --output {params.stem} > {log} 2>&1"


rule figure:
    """Draw a figure."""
    input:
        unpack(figure_inputs),
    output:
        multiext("results/{experiment}/figures/{figure}", ".svg", ".png", ".csv"),
    log:
        "logs/{experiment}/figure/{figure}.log",
    conda:
        "../envs/mixmerge.yaml"
    params:
        recipe=lambda wildcards: RECIPES.figure(wildcards.figure),
        stem="results/{experiment}/figures/{figure}",
    shell:
        "python -m workflow_scripts figure --recipe {params.recipe:q} --scores {input.scores} --curves {input.curves}"
        " --output {params.stem} > {log} 2>&1"
