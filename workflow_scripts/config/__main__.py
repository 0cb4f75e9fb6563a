"""Print the schema of an experiment file: `python -m workflow_scripts.config > config.schema.json`."""

import json

from workflow_scripts.config.experiment import Config

print(json.dumps(Config.model_json_schema(), indent=1, ensure_ascii=False))
