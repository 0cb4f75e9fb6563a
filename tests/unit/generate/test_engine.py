"""Which engine answers, as far as nothing heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.generate import engine


@pytest.mark.parametrize(
    ("installed", "cuda", "expected"),
    [(True, True, "vllm"), (True, False, "transformers"), (False, True, "transformers")],
)
def test_auto_is_vllm_where_it_is_installed_and_sees_a_gpu(
    monkeypatch: pytest.MonkeyPatch, installed: bool, cuda: bool, expected: str
) -> None:
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(engine, "_cuda", lambda: cuda)
    assert engine.resolve("auto") == expected
    assert engine.resolve("vllm") == "vllm"


def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert engine._cuda()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not engine._cuda()


def test_an_unknown_or_missing_engine_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="steam"):
        engine.resolve("steam")
    monkeypatch.setattr(engine, "ENGINES", {"steam": engine.ENGINES["vllm"]._replace(packages=("no-such-package",))})
    with pytest.raises(UserError, match="no-such-package"):
        engine.versions("steam")


def test_resolving_imports_nothing_heavy() -> None:
    code = (
        "import sys; from workflow_scripts.generate import engine;"
        " engine.resolve('auto'); engine.versions('transformers');"
        "heavy = {'torch', 'transformers', 'numpy', 'trl', 'vllm'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
