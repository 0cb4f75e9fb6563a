"""Requests follow one another no faster than the limits allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.openai_server import OpenAIServer
from tests.unit.llm.test_client import ask, client
from workflow_scripts.llm.pace import Pace


@given(rate=st.floats(1, 1e5), amounts=st.lists(st.floats(0, 1e4), min_size=1, max_size=20))
def test_a_pace_never_lets_through_more_than_its_rate(rate, amounts):
    pace = Pace(rate)
    last = [pace.reserve(amount) for amount in amounts][-1]
    assert last >= sum(amounts[:-1]) / rate * 60 - 1.0 - 1e-6


@pytest.mark.parametrize("limits", [{"rpm": 600}, {"tpm": 600 * 48}])
def test_limits_per_minute_are_kept(tmp_path, limits):
    with OpenAIServer() as server, client(server, tmp_path, concurrency=1, **limits) as asked:
        asked.answers([ask(n) for n in range(9)])
    assert server.times[-1] - server.times[1] >= 0.6, "seven at ten a second, of which the first may be late"
