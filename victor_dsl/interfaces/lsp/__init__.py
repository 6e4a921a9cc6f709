"""The language server: diagnostics, completion, hover and definitions for specs and their templates, in any editor."""
