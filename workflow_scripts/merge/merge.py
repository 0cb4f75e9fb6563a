"""Command: a merge of parents.

A temporary merge is a manifest: its weights lie in the store from the merge until the answers are there, and are merged
again where more answers are owed.  Where more would wait than the machine has room for (`machine.waiting_merges`), they
go at once, and are merged again by the job that answers.
"""

from workflow_scripts.base.job import STORE, Job, Made
from workflow_scripts.merge import remerge, settings
from workflow_scripts.models import manifest
from workflow_scripts.store import finished_work


def make(job: Job) -> Made:
    """Make what a job is about."""
    parents, base = ([path.parent for path in job.files[role]] for role in ("parents", "base"))
    for folder in [*parents, *base]:
        manifest.check(folder)
    settings.check(job.settings, len(parents), bool(base))
    owed, is_temporary = key(job), job.execution["temporary"]
    entry = finished_work.known(STORE, owed) if is_temporary else None
    if entry is None:
        entry = remerge.merged(owed, job.settings, parents, *base)
    about = job.recipe.inputs
    folders = dict(zip(about["parents"], parents, strict=True)) | ({about["base"]: base[0]} if base else {})
    manifest.publish(job, owed, entry, folders, temporary=is_temporary)
    most = job.execution["waiting_merges"]
    # Two jobs that come here at once may both see one too many, and both let go: never one too few.
    if most is not None and len(waiting := manifest.waiting()) > most and owed in waiting:
        manifest.release(owed)
    return Made(store=owed)


def key(job: Job) -> str:
    """The store's key: the parents in their order, and the base, by content."""
    parents, base = ([manifest.read(path.parent)["model"] for path in job.files[role]] for role in ("parents", "base"))
    return finished_work.key(job.work, parents=parents, base=base[0] if base else None)
