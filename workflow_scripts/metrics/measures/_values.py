"""What verdicts count for, where several measures agree on it."""

WINS = {"win": 1.0, "tie": 0.5, "loss": 0.0}  # wins and half of the ties, as in arXiv 2410.10801


def share(verdict: str) -> dict[str, float]:
    """Of the verdicts on harm, one counts and the others do not."""
    return {name: float(name == verdict) for name in ("harmful", "refused", "neither")}
