import subprocess
import sys
from pathlib import Path

import pytest
from mergekit import merge_methods as mergekit_methods

from tests.unit.merge.tiny import DARE, LINEAR, METHODS, ROOT, SLERP, TIES
from tests.unit.merge.tiny import models as models  # the fixture
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import settings as merge_settings
from workflow_scripts.merge.methods import METHODS as ROWS


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_of_mergekit_is_stated(method: str) -> None:
    base = Path("base") if ROWS[method].base else None
    built = merge_settings.build_config(METHODS[method], [Path("a"), Path("b")], base)
    stated = set(built["parameters"]).union(*(model["parameters"] for model in built["models"]))
    assert stated == {parameter.name for parameter in mergekit_methods.get(method).spec.parameters}
    assert not {"tokenizer_source", "tokenizer", "chat_template"} & built.keys()


def test_methods_are_known_without_importing_torch() -> None:
    modules = ("models.architecture", "models.directory", "merge.settings")
    code = f"import sys, {', '.join(f'workflow_scripts.{m}' for m in modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("recipe", "parents", "base", "message"),
    [
        ({"method": "median"}, 2, False, "'median' is not known"),
        ({k: v for k, v in TIES.items() if k != "rescale"}, 2, True, "`rescale` is missing"),
        ({k: v for k, v in DARE.items() if k != "seed"}, 2, True, "`seed` is missing"),
        (LINEAR | {"t": 0.5}, 2, False, "takes no `t`"),
        (TIES | {"seed": 1}, 2, True, "takes no `seed`"),
        (LINEAR | {"dtype": "int8"}, 2, False, "`dtype` is 'int8'"),
        (DARE | {"seed": 0.5}, 2, True, "`seed` is 0.5"),
        (SLERP, 3, False, "exactly 2 parents, not 3"),
        (LINEAR, 3, False, r"`weights` must be a list with one value per parent \(3\)"),
        (TIES, 2, False, "needs a base model"),
        (SLERP, 2, True, "takes no base model"),
        (LINEAR | {"weights": [1, -1]}, 2, False, "sum to 0"),
        (LINEAR | {"weights": [1, float("nan")]}, 2, False, "must be a number, not nan"),
        (TIES | {"densities": [0.5, 0]}, 2, True, "must be above 0 and at most 1, not 0"),
        (TIES | {"normalize": 1}, 2, True, "must be true or false, not 1"),
        (SLERP | {"t": 1.5}, 2, False, "not 1.5"),
        (SLERP | {"t": {"layers": [0, 1]}}, 2, False, "a gradient has `layers`"),
        (SLERP | {"t": {"layers": [0, 2], "embeddings": 0, "final_norm": 0}}, 2, False, "not 2"),
    ],
)
def test_a_wrong_setting_is_named(recipe: dict, parents: int, base: bool, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        merge_settings.check(recipe, parents, base)
    assert "\n" not in str(caught.value)
