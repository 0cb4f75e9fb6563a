from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.miniature import draws


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000), st.integers())
def test_shuffling_gives_each_number_once(size, key):
    assert sorted(draws.shuffled(size, key)) == list(range(size))


def test_shuffling_differs_by_key_and_mixes():
    orders = [list(draws.shuffled(1000, key)) for key in range(20)]
    assert len({tuple(order) for order in orders}) == 20
    firsts = [order[0] for order in orders]
    assert min(firsts) < 300 and max(firsts) > 700
