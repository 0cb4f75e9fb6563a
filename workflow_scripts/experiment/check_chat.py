"""Checks of how conversations are written, as far as files tell that lie on this machine."""

from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.chat import Chat
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.models import Load, Train
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.model import Model, stated_chat
from workflow_scripts.models import template_files


def check(config: Config, models: dict[str, Model], errors: Errors) -> None:
    """Check templates that are given, and whether each model that needs one has one."""
    _check_file("chat", config.chat, errors)
    loaded = {name: model.row for name, model in models.items() if isinstance(model.row, Load)}
    if config.chat.model_fields_set and not loaded and errors.complete("models"):
        errors.add("chat", "is read by loaded models alone, and none is loaded; remove it")
    speaking = {model.row.parent for model in models.values() if isinstance(model.row, Train)}
    speaking |= {name for name, row in loaded.items() if row.evaluate}
    for name, row in loaded.items():
        at = f"models.{name}"
        if row.chat:
            _check_file(f"{at}.chat", row.chat, errors)
        if name in speaking and stated_chat(row, config).template is None:
            _check_own(at, Path(row.load), errors)


def _check_file(at: str, chat: Chat, errors: Errors) -> None:
    """Whether a given template is one."""
    if chat.template is None:
        return
    try:
        text = Path(chat.template).read_text(encoding="utf-8")
        template_files.names(text)
    except OSError as error:
        errors.add(f"{at}.template", f"{chat.template} cannot be read ({error.strerror}); name a file")
    except UnicodeDecodeError:
        errors.add(f"{at}.template", f"{chat.template} is not UTF-8; save it as UTF-8")
    except UserError as error:
        errors.add(f"{at}.template", f"{chat.template} is {error}")
    else:
        if not text.strip():
            errors.add(f"{at}.template", f"{chat.template} is empty; write a template in Jinja")


def _check_own(at: str, folder: Path, errors: Errors) -> None:
    """Whether a model on this machine has a template; that of a model on the hub is looked at when it is loaded."""
    try:
        lacks = (folder / "tokenizer_config.json").is_file() and template_files.template(folder) is None
    except UserError as error:
        errors.add(f"{at}.load", str(error))
    else:
        if lacks:
            what = f"the tokenizer in {folder} has no chat template, as trainings and answers need"
            errors.add(f"{at}.chat", f"{what}; name a file with one: chat: {{template: template.jinja}}")
