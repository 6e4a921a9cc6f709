"""HTTP servers that speak JSON, as components of several kinds ask them. Imported where a component is built."""
