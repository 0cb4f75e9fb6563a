"""Published datasets that can be sources, a file each; the user's own lie in `formats/` beside their config."""

from workflow_scripts.base.registry import Registry
from workflow_scripts.data.formats._base import Format, Part, Problem

__all__ = ["FORMATS", "Format", "Part", "Problem"]

FORMATS: Registry[Format] = Registry("data.formats", "FORMAT", Format)
