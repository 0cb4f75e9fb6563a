import pytest

from workflow_scripts.llm import parameters


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    """A key for the provider, and no memory of what models refused in other tests."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-0123456789abcdefSECRET")
    parameters.REFUSED.clear()
    return "sk-proj-0123456789abcdefSECRET"
