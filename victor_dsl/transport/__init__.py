"""A client of HTTP servers that speak JSON, for components of several kinds. Only `build` imports it."""
