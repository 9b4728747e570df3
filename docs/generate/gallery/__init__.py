"""The pictures and figures of the gallery."""
