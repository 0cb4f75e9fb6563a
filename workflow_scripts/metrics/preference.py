"""Which of two answers is better, the model's or the baseline's?  Asked in both orders, since judges have a bias."""

from workflow_scripts.metrics._base import Metric, Question

METRIC = Metric(
    "preference",
    "winner",
    (
        Question(
            "AB",
            {"PROMPT": "prompt", "RESPONSE_A": "completion", "RESPONSE_B": "baseline"},
            {"A": "win", "B": "loss", "tie": "tie"},
        ),
        Question(
            "BA",
            {"PROMPT": "prompt", "RESPONSE_A": "baseline", "RESPONSE_B": "completion"},
            {"A": "loss", "B": "win", "tie": "tie"},
        ),
    ),
)
