"""The boundary around components (`language/boundary.py`), as the runtime imports it."""

from victor_dsl.language.boundary import component_error, describe, internal_error, is_fault

__all__ = ["component_error", "describe", "internal_error", "is_fault"]
