"""The stages of an experiment, by the names of their rules; a file here declares those that belong together."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.experiment.stages._base import Stage

STAGES: dict[str, Stage] = {
    stage.name: stage for part in Registry[list[Stage]]("experiment.stages", "STAGES").values() for stage in part
}
