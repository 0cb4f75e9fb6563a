"""The logic of mixmerge: pure functions and one command per stage; nothing here imports Snakemake."""
