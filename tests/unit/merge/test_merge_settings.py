import subprocess
import sys

import pytest

from tests.unit.merge.tiny import DARE, LINEAR, ROOT, SLERP, TIES
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import settings as merge_settings


def test_methods_are_known_without_importing_torch() -> None:
    modules = ("models.architecture", "models.directory", "merge.settings")
    code = f"import sys, {', '.join(f'workflow_scripts.{m}' for m in modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("recipe", "parents", "base", "message"),
    [
        ({"method": "median"}, 2, False, "'median' is not known"),
        ({k: v for k, v in TIES.items() if k != "density"}, 2, True, "`density`: Field required"),
        ({k: v for k, v in DARE.items() if k != "seed"}, 2, True, "`seed`: Field required"),
        (LINEAR | {"t": 0.5}, 2, False, "`t`: Extra inputs"),
        (TIES | {"seed": 1}, 2, True, "`seed`: Extra inputs"),
        (LINEAR | {"dtype": "int8"}, 2, False, "`dtype`: Input should be 'float32'"),
        (DARE | {"seed": 0.5}, 2, True, "`seed`: Input should be a valid integer"),
        (SLERP, 3, False, "exactly 2 models, not 3"),
        (LINEAR, 3, False, "`weights`: 2 values for 3 parents"),
        (TIES, 2, False, "ties needs a base"),
        (SLERP, 2, True, "takes no base model"),
        (LINEAR | {"weights": [1, -1]}, 2, False, "sum to 0"),
        (LINEAR | {"weights": [1, float("nan")]}, 2, False, "`weights`: "),
        (TIES | {"density": [0.5, 0]}, 2, True, "must be above 0 and at most 1, not 0"),
        (TIES | {"normalize": 3}, 2, True, "`normalize`: "),
        (SLERP | {"t": 1.5}, 2, False, "not 1.5"),
        (SLERP | {"t": {"layers": [0, 1]}}, 2, False, "`t`: "),
        (SLERP | {"t": {"layers": [0, 2], "embeddings": 0, "final_norm": 0}}, 2, False, "not 2"),
    ],
)
def test_a_wrong_setting_is_named(recipe: dict, parents: int, base: bool, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        merge_settings.check(recipe, parents, base)
    assert "\n" not in str(caught.value)
