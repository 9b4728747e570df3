"""The language server: what editors show and do while a spec is edited, over the Language Server Protocol."""
