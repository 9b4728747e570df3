"""The protocol of pygls, which answers requests whose parameters are invalid, too."""

from __future__ import annotations

from typing import Any

from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import LanguageServerProtocol


class SpecProtocol(LanguageServerProtocol):
    """Without it, an editor would wait forever for the answer to a request that cannot be read."""

    def structure_message(self, data: dict[str, Any]) -> Any:
        """A message as an object. Answers a request with the error before it is raised."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            if "id" in data and "method" in data:
                message = f"the parameters of {data['method']!r} are invalid"
                error = JsonRpcInvalidParams(message).to_response_error()
                self._send_response(data["id"], error=error)
            raise
