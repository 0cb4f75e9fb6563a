"""The experiment as the rules see it: readings of its one list of artifacts (workflow_scripts/experiment/artifacts.py).

Jobs of rules with `localrule: True` take seconds, or wait for an API: where jobs are submitted, these run beside
Snakemake, which has a network. (`localrules:` would not reach them where this workflow is a module of another.)

REQUIRED INPUTS: the config. OUTPUTS: none; only functions for the other rule files.
"""

import re
import sys
from pathlib import Path

try:
    from workflow_scripts.base.errors import UserError
    from workflow_scripts.experiment import artifacts, provenance
    from workflow_scripts.forecast.resources import Needs, Requirements
    from workflow_scripts.run import session
except ModuleNotFoundError as error:
    if error.name.startswith("workflow_scripts"):
        raise
    lock = Path(str(workflow.current_basedir), "../requirements.lock").resolve()
    print(f"{error.name}: is not installed where Snakemake runs; pip install -r {lock}", file=sys.stderr)
    sys.exit(1)

try:
    EXPERIMENT = session.load(config, workflow.configfiles)
    if workflow.is_main_process:
        session.start(EXPERIMENT, session.only_looks(workflow.output_settings.dryrun))
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(1)


onstart:
    if not workflow.local_exec:
        try:
            session.check_machines(EXPERIMENT)
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(1)


session.set_environment()

CONFIG = EXPERIMENT.experiment.config
STAGES = artifacts.STAGES
REQUIREMENTS = Requirements(EXPERIMENT.experiment)


def every(*stages):
    """All files of some stages; what is made on demand is there where a job waits for it."""
    of_stages = (one for one in EXPERIMENT.all if one.stage.name in stages and not one.stage.on_demand)
    return [str(path) for one in of_stages for paths in one.outputs.values() for path in paths]


def outputs_of(stage):
    """The files that a rule writes, by role."""
    return artifacts.patterns(stage, EXPERIMENT.experiment)


def inputs_of(stage):
    """The files that a job reads, by role."""

    def files(wildcards):
        artifact = EXPERIMENT.of(stage, wildcards)
        old = provenance.ancient(artifact)
        found = provenance.files_of(artifact).items()
        return {role: [ancient(str(p)) if role in old else str(p) for p in paths] for role, paths in found}

    return files


def params_of(stage):
    """What decides what a job makes, as three short texts, and its job file, which Snakemake does not compare."""

    def part(name):
        return lambda wildcards: EXPERIMENT.of(stage, wildcards).params[name]

    def job(wildcards, output):
        return str(EXPERIMENT.of(stage, wildcards).job.path)

    return {**{name: part(name) for name in ("settings", "inputs", "code")}, "job": job}


def log_of(stage):
    """A log for each job, in the folder of its stage."""
    return artifacts.log(stage, EXPERIMENT.experiment)


def only(stage):
    """Constraints on a rule's wildcards: the values that its artifacts have."""
    return {name: "|".join(map(re.escape, found)) or "(?!)" for name, found in EXPERIMENT.values(stage).items()}


def needs(stage):
    """What a job asks for, by its model (or source) and attempt: gpu, mem_mb, runtime, disk_mb."""

    def asked(wildcards, attempt):
        has_machines = not workflow.local_exec or CONFIG.machine.gpus_per_node
        return REQUIREMENTS.needs(EXPERIMENT.of(stage, wildcards), attempt, has_machines)

    def one(name):
        return lambda wildcards, attempt: asked(wildcards, attempt)[name]

    return {name: one(name) for name in Needs._fields}


def takes_turns(stage):
    """1 if a job asks a provider, whose limits are for all; 0 if it asks a model of this machine, or none."""
    return lambda wildcards: int(EXPERIMENT.of(stage, wildcards).entry.asks_provider)


def threads_of_training(wildcards):
    execution = EXPERIMENT.of("train", wildcards).entry.execution
    return execution["threads"] * execution["processes"]
