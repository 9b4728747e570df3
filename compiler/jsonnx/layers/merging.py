"""Layers that join several inputs."""

from __future__ import annotations
