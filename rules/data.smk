"""Sources, the mixtures drawn from them for training, and the suites held out for evaluation.

REQUIRED INPUTS: the files that the config names, if any. OUTPUTS: data/{sources,mixtures,suites}/*.parquet
"""


rule source:
    """Bring the rows of a source into one schema."""
    input:
        file=file_of,
    output:
        rows="results/{experiment}/data/sources/{source}.parquet",
    log:
        "logs/{experiment}/source/{source}.log",
    conda:
        "../envs/mixmerge.yaml"
    params:
        recipe=lambda wildcards: RECIPES.source(wildcards.source),
        file=lambda wildcards: " ".join(f"--file {path}" for path in file_of(wildcards)),
    shell:
        "python -m workflow_scripts source --recipe {params.recipe:q} {params.file} --output {output.rows} > {log} 2>&1"


rule mixture:
    """Draw a training set from sources in stated fractions."""
    input:
        sources=sources_of,
    output:
        rows="results/{experiment}/data/mixtures/{mixture}.parquet",
    log:
        "logs/{experiment}/mixture/{mixture}.log",
    conda:
        "../envs/mixmerge.yaml"
    params:
        recipe=lambda wildcards: RECIPES.mixture(wildcards.mixture),
    shell:
        "python -m workflow_scripts mixture --recipe {params.recipe:q} --sources {input.sources}"
        " --output {output.rows} > {log} 2>&1"


rule suite:
    """Choose the held-out prompts of a suite."""
    input:
        source=source_of_suite,
    output:
        rows="results/{experiment}/data/suites/{suite}.parquet",
    log:
        "logs/{experiment}/suite/{suite}.log",
    conda:
        "../envs/mixmerge.yaml"
    params:
        recipe=lambda wildcards: RECIPES.suite(wildcards.suite),
    shell:
        "python -m workflow_scripts suite --recipe {params.recipe:q} --source {input.source}"
        " --output {output.rows} > {log} 2>&1"
