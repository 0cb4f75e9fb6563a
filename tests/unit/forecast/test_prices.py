"""Prices are those of litellm's table, which is read without litellm."""

import subprocess
import sys

from workflow_scripts.forecast.prices import price


def test_the_batch_interface_is_half_the_price():
    assert price("openai/gpt-4-turbo", batch=True) == (0.5e-5, 1.5e-5)
    assert price("openai/gpt-4o-mini", batch=True) == (7.5e-8, 3e-7)


def test_a_server_of_ones_own_has_no_price_and_the_miniatures_judge_costs_nothing():
    assert price("hosted_vllm/mine") is None
    assert price("mixmerge/rules") == price("mixmerge/rules", batch=True) == (0.0, 0.0)


def test_a_model_is_found_by_its_name_without_the_provider_as_well():
    assert price("openai/gpt-4-turbo") == price("gpt-4-turbo")


def test_litellm_is_not_imported_for_its_prices():
    code = "import sys; from workflow_scripts.forecast.prices import price; price('openai/gpt-4o'); "
    code += "sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
