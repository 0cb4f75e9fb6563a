"""How long jobs take together: they wait for what they need, and for GPUs."""

from workflow_scripts.forecast.schedule import Job, wall


def test_more_gpus_take_less_time_until_the_longest_way_is_left():
    jobs = {str(n): Job(1, 1.0) for n in range(6)} | {"last": Job(1, 1.0, tuple(map(str, range(6))))}
    assert [wall(jobs, gpus) for gpus in (1, 2, 3, 6, 60)] == [7, 4, 3, 2, 2]


def test_a_job_of_many_gpus_waits_until_all_are_free():
    assert wall({"wide": Job(2, 1.0), "narrow": Job(1, 3.0)}, 2) == 4
    assert wall({"wide": Job(2, 1.0), "narrow": Job(1, 3.0)}, 3) == 3


def test_judges_take_their_turns_beside_the_gpus():
    assert wall({"a": Job(0, 2.0, judges=True), "b": Job(0, 2.0, judges=True), "c": Job(1, 4.0)}, 1) == 4


def test_the_longest_way_goes_first():
    jobs = {"long": Job(1, 1.0), "end": Job(1, 5.0, ("long",)), "short": Job(1, 2.0)}
    assert wall(jobs, 1) == 8 and wall(jobs, 2) == 6


def test_what_is_not_part_of_the_plan_is_not_waited_for():
    assert wall({"a": Job(1, 1.0, ("elsewhere",))}, 1) == 1


def test_a_job_whose_hours_are_not_known_makes_the_whole_unknown():
    assert wall({"a": Job(1, 1.0), "b": Job(1, None)}, 1) is None
    assert wall({}, 1) == 0
