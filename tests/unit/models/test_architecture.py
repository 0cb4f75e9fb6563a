from transformers import AutoConfig

from tests.unit.merge.tiny import AYA
from workflow_scripts.models.architecture import check_compatible


def test_configs_saved_by_two_versions_of_transformers_fit() -> None:
    old = {k: v for k, v in AYA.items() if k not in ("logit_scale", "use_qk_norm", "dtype")}
    old |= {"rope_theta": 10000.0, "torch_dtype": "float16", "transformers_version": "4.40.0"}
    new = AYA | {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "use_cache": False}
    assert check_compatible([old, new]) is None
    assert check_compatible([old, new, AYA | {"rope_theta": 5e5}]) == "rope_theta is 500000.0, not 10000.0"


def test_a_logit_scale_left_out_is_coheres_default() -> None:
    absent = {key: value for key, value in AYA.items() if key != "logit_scale"}
    assert check_compatible([absent, AYA | {"logit_scale": 0.125}]) == "logit_scale is 0.125, not 0.0625"
    assert AutoConfig.for_model("cohere").logit_scale == 0.0625


def test_a_key_unknown_here_must_agree() -> None:
    assert check_compatible([AYA | {"novelty": 1}, AYA | {"novelty": 2}]) == "novelty is 2, not 1"
