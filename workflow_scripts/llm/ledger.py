"""The accounts of a ledger, whose rows docs/ledger.md describes."""

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workflow_scripts.store.append_only import AppendOnlyRows


def now() -> str:
    """The time of a row."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def in_flight(ledger: Path) -> int:
    """How many requests were sent whose answer never came to the ledger: what kills may have cost."""
    return sum(account["in_flight"] for account in audit(ledger))


def spent(ledger: Path) -> float:
    """US dollars that a ledger's answers cost, as far as prices are known."""
    return float(sum(row.get("cost_usd") or 0.0 for row in AppendOnlyRows(ledger).scan()))


def audit(ledger: Path) -> list[dict[str, Any]]:
    """The accounts of a ledger: one row per label, model and day (UTC), in that order.

    Returns:
        Dicts of label, model, day; counts of requests answered, of those that came with a batch, by outcome (ok,
        refused, filtered, too_long, error), attempts, in_flight (sent, not answered), tokens_in, tokens_out, cost_usd
        (where the price is known), unpriced (answers whose price is not known).
    """
    accounts: dict[tuple[str, str, str], dict[str, Any]] = {}
    unanswered: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    answered: defaultdict[str, int] = defaultdict(int)
    outcomes = ("ok", "refused", "filtered", "too_long", "error")
    counts = ("requests", "batched", *outcomes, "attempts", "in_flight", "tokens_in", "tokens_out")
    for row in AppendOnlyRows(ledger).scan():
        place = (row["label"], row["model"], row["time"][:10])
        account = accounts.setdefault(place, {**dict.fromkeys(counts, 0), "cost_usd": 0.0, "unpriced": 0})
        if row["state"] == "sent":
            unanswered[row["key"]].append(place)
            continue
        answered[row["key"]] += 1
        account["requests"] += 1
        account["batched"] += "batch" in row
        account[row["outcome"]] += 1
        account["attempts"] += row["attempts"]
        account["tokens_in"] += row.get("tokens_in") or 0
        account["tokens_out"] += row.get("tokens_out") or 0
        account["cost_usd"] += row.get("cost_usd") or 0.0
        account["unpriced"] += row["outcome"] not in ("error", "too_long") and row.get("cost_usd") is None
    for key, places in unanswered.items():
        # An earlier attempt is the lost one: whoever came later sent it again, and has the answer.
        for place in places[: max(0, len(places) - answered[key])]:
            accounts[place]["in_flight"] += 1
    return [
        {"label": label, "model": model, "day": day, **account}
        for (label, model, day), account in sorted(accounts.items())
    ]
