"""Architectures are those of transformers."""

from workflow_scripts.config.models import Architecture


def test_architectures_have_fields_and_defaults_of_transformers():
    from transformers import CohereConfig

    theirs = CohereConfig.__dataclass_fields__
    for name, field in Architecture.model_fields.items():
        assert name in theirs, name
        if not field.is_required():
            assert getattr(theirs[name], "default", None) == field.default or field.default is None, name
