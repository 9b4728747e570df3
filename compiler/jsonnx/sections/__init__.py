"""The sections of a spec: `training` and its parts, `sweep`, `budget`, `lint`."""
