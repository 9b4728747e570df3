"""The server's pages: a form for each model, its figures and example requests, and the OpenAPI document."""
