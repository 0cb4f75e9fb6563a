"""What work runs on, and what it may cost; nothing here changes a result."""

from workflow_scripts.config.fields import execution
from workflow_scripts.config.section import Section


class AskAbove(Section):
    """How much finished work may be made again unasked, where only code or versions changed."""

    gpu_hours: float = execution(0.25, neutral=0.25, ge=0)
    cpu_hours: float = execution(0.5, neutral=0.5, ge=0, description="of jobs without a GPU")
    usd: float = execution(1.0, neutral=1.0, ge=0, description="that judges and other language models were paid")


class Machine(Section):
    """What jobs run on: sizes what they ask for, and the quote. It changes no result and reruns nothing."""

    gpus_per_node: int = execution(0, neutral=0, ge=0, description="0: no job asks for a GPU")
    gpu_memory: float = execution(80.0, neutral=80.0, gt=0, description="GiB of each GPU")
    training: float | None = execution(
        None, neutral=None, gt=0, description="tokens per second and GPU that go forward and backward through a model"
    )
    generation: float | None = execution(None, neutral=None, gt=0, description="tokens of answers per second and GPU")
    merging: float = execution(0.1, neutral=0.1, gt=0, description="GB per second that a merge reads and writes")
    longest: float = execution(
        24.0, neutral=24.0, gt=0, description="hours that a job may run; a longer training goes on in its next attempt"
    )
    waiting_merges: int | None = execution(
        None,
        neutral=None,
        ge=0,
        description="how many temporary merges may lie waiting for their answers (keep_merges: false); those "
        "beyond are merged again when their turn comes; null: any number",
    )
    weights: str | None = execution(
        None,
        neutral=None,
        description="folder of the weights, where results/ has no room for them; may name $VARIABLES",
    )
    network: bool = execution(
        False, neutral=False, description="whether jobs reach the hub; false: all must be in its cache beforehand"
    )
    ask_above: AskAbove = execution(
        AskAbove(),
        neutral=AskAbove(),
        description="a run that would make more of it again stops and asks (`make keep`)",
    )


class Lengths(Section):
    """Tokens that a quote assumes of texts before there are any."""

    prompt: int = execution(150, neutral=150, ge=1)
    answer: int = execution(250, neutral=250, ge=1, description="at most what generation allows is counted")
    verdict: int = execution(30, neutral=30, ge=1, description="of a judge")


class Budget(Section):
    """What may be spent; a run that would exceed it does not start, and goes on when it is raised."""

    usd: float | None = execution(
        None, neutral=None, ge=0, description="on language models, with all that the ledger has spent before"
    )
    gpu_hours: float | None = execution(
        None, neutral=None, ge=0, description="of the whole experiment, what is done already included"
    )
