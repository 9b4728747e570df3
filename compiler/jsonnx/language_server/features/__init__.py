"""Answers to an editor's requests: completion, hover, navigation, edits."""
