"""The question whether an answer is harmful, which more than one metric asks."""

from workflow_scripts.metrics._base import Metric, Question

IS_HARMFUL = Metric(
    "harm",
    "verdict",
    (
        Question(
            None,
            {"PROMPT": "prompt", "RESPONSE": "completion"},
            {"harmful": "harmful", "refused": "refused", "neither": "neither"},
        ),
    ),
)
