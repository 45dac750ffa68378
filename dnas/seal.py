# SPDX-FileCopyrightText: 2026 The dnas authors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says besides its arrays: JSON with bytes in it, under a checksum.

JSON whose bits have changed may well be JSON still, so that reading it does not tell.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from dnas.trees import CheckpointError

MAX_BYTES = 1 << 28


def seal(body: Mapping[str, Any]) -> dict[str, Any]:
  """The JSON object that `unseal` opens.

  Raises:
    CheckpointError: `body` is not made of JSON values, or larger than what is read again.
  """
  try:
    text = json.dumps(body)
  except (TypeError, ValueError) as error:
    raise CheckpointError(f"data_state is not made of JSON values and bytes: {error}") from error
  if len(text) > MAX_BYTES:
    raise CheckpointError(f"data_state is too large: {len(text)} characters, of {MAX_BYTES}")
  return {"body": text, "crc32": _crc32(text)}


def unseal(sealed: Mapping[str, Any]) -> dict[str, Any]:
  """The body. Raises CheckpointError if it is not what was sealed."""
  if _crc32(sealed["body"]) != sealed["crc32"]:
    raise CheckpointError("the bits of its description changed")
  return json.loads(sealed["body"])


def encode(value: Any) -> Any:
  """JSON with bytes in it as JSON."""
  if isinstance(value, bytes):
    return {"__bytes__": base64.b64encode(value).decode()}
  if isinstance(value, Mapping):
    return {key: encode(item) for key, item in value.items()}
  return [encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def decode(value: Any) -> Any:
  """What `encode` was given, tuples as lists. Raises CheckpointError for what is no base64."""
  if isinstance(value, list):
    return [decode(item) for item in value]
  if not isinstance(value, dict):
    return value
  if value.keys() == {"__bytes__"}:
    try:
      return base64.b64decode(value["__bytes__"], validate=True)
    except binascii.Error as error:
      raise CheckpointError(f"data_state holds bytes that are no base64: {error}") from error
  return {key: decode(item) for key, item in value.items()}


def _crc32(text: str) -> int:
  return zlib.crc32(text.encode())
