"""Records the requests that pass between an application and a model's API, as request lines."""
