"""The conformance suite of the Open Inference Protocol v2: requests to any server, and verdicts on its answers."""
