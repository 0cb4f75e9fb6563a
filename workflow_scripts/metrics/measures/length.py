"""The mean length of answers."""

from workflow_scripts.metrics.measures._base import Measure

MEASURE = Measure(
    "length, tokens", number=(("tokens",), lambda tokens: tokens), axis="tokens", bounded=False, scale=1.0
)
