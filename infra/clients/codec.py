"""Encryption of what Temporal stores: arguments, results, signals, queries, failure messages.

    TIDEGATE_TEMPORAL__PAYLOAD_KEYS=2026-11=keyvault:payload-2026-11,2026-05=file:/run/secrets/payload-2026-05

Each payload is sealed with AES-256-GCM under the first key of the ring; its metadata say which key, and are sealed
with it. Any key of the ring opens. A process fails closed: with keys it takes no plaintext, without keys nothing
that is encrypted, so that neither is ever mistaken for an unreadable signal and dropped. Workflow ids, names of
signals and activities, types of errors, search attributes and headers (which hold event ids) stay readable.

Source: 000, "Security"; issue "The whole order business", 11; shared facts, "Failure messages are not encrypted".
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from infra.errors import MisuseError, PayloadRefusedError
from infra.settings import TemporalSettings

ENCODING: Final = b"binary/encrypted"
"""What the metadata say of a payload that is encrypted; other SDKs' sample codecs use the same word."""
KEY_ID: Final = "encryption-key-id"
"""The metadata that names the key."""

_CIPHER: Final = b"AES-256-GCM"
_SETTING: Final = "TIDEGATE_TEMPORAL__PAYLOAD_KEYS"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id: the one that seals, and all that open. Its ``repr`` shows the ids only."""

    newest: str
    _keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, settings: TemporalSettings) -> KeyRing | None:
        """The ring in ``settings``, ``ID=KEY[,ID=KEY…]``, the key that seals first; None where there is none.

        A KEY is 32 bytes in base64, or a reference to that (``infra.secrets``); so may be the setting as a whole.
        Raises :class:`MisuseError` for anything else, never showing it.
        """
        setting = settings.payload_keys
        if setting is None or not (text := setting.get_secret_value().strip()):
            return None
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.split(","), 1):
            name, is_there, reference = entry.strip().partition("=")
            if not is_there or not _NAME.fullmatch(name):
                # By its number, here and below: who forgets the id has put the key in its place.
                raise MisuseError(f"{_SETTING}: entry {number} is not ID=KEY")
            if name in keys:
                raise MisuseError(f"{_SETTING}: entry {number} has the id of an earlier one")
            keys[name] = _key(number, setting.resolve(reference))
        return cls(next(iter(keys)), keys)

    def find(self, name: str) -> bytes:
        """The key called ``name``; :class:`PayloadRefusedError` where the ring lacks it."""
        try:
            return self._keys[name]
        except KeyError:
            raise PayloadRefusedError(
                f"a payload is encrypted with the key {name[:64]!r}, which this process lacks: add it to {_SETTING}"
            ) from None


class EncryptionCodec(PayloadCodec):
    """Seals with the newest key of ``ring`` and opens with any; without a ring it passes plaintext on.

    ``accept_plaintext`` lets a process that has a ring read what was written before there was one: for the time
    of a rollover, see ``docs/operations.md``.
    """

    def __init__(self, ring: KeyRing | None, *, accept_plaintext: bool = False) -> None:
        self._ring = ring
        self._accept_plaintext = accept_plaintext

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """``payloads``, sealed."""
        ring = self._ring
        return list(payloads) if ring is None else [_sealed(payload, ring) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """``payloads`` as they were before :meth:`encode`.

        Raises :class:`PayloadRefusedError` for plaintext where there is a ring, for a payload that was changed,
        and for one whose key is missing. A workflow's task that meets it fails and is tried again: nothing is
        lost, and nothing goes on until the keys are right.
        """
        return [self._opened(payload) for payload in payloads]

    def _opened(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") == ENCODING:
            if self._ring is None:
                raise PayloadRefusedError(
                    f"a payload is encrypted and this process has no keys: set {_SETTING}"
                )
            return _unsealed(payload, self._ring)
        if self._ring is None or self._accept_plaintext:
            return payload
        raise PayloadRefusedError(
            "a payload is not encrypted, and this process takes only what is: whoever wrote it lacks "
            f"{_SETTING}; for a rollover see docs/operations.md"
        )


def data_converter(settings: TemporalSettings) -> DataConverter:
    """How every client of tidegate reads and writes payloads. Raises as :meth:`KeyRing.of`."""
    ring = KeyRing.of(settings)
    codec = EncryptionCodec(ring, accept_plaintext=settings.payload_accept_plaintext)
    if ring is None:
        return DataConverter(payload_codec=codec)
    return DataConverter(
        payload_codec=codec, failure_converter_class=DefaultFailureConverterWithEncodedAttributes
    )


def _key(number: int, text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise MisuseError(
            f"{_SETTING}: the key of entry {number} is not {_KEY_BYTES} bytes in base64"
        ) from None
    return key


def _sealed(payload: Payload, ring: KeyRing) -> Payload:
    sealed = Payload(
        metadata={"encoding": ENCODING, "encryption-cipher": _CIPHER, KEY_ID: ring.newest.encode()}
    )
    nonce = os.urandom(_NONCE_BYTES)
    plain = payload.SerializeToString()
    sealed.data = nonce + AESGCM(ring.find(ring.newest)).encrypt(nonce, plain, _bound(sealed.metadata))
    return sealed


def _unsealed(payload: Payload, ring: KeyRing) -> Payload:
    name = payload.metadata[KEY_ID].decode(errors="replace") if KEY_ID in payload.metadata else ""
    key = ring.find(name)
    if len(payload.data) < _NONCE_BYTES + _TAG_BYTES:
        raise PayloadRefusedError("a payload that should be encrypted is too short to be")
    try:
        plain = AESGCM(key).decrypt(
            payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], _bound(payload.metadata)
        )
        return Payload.FromString(plain)
    except (InvalidTag, DecodeError):
        raise PayloadRefusedError(
            f"a payload of the key {name} does not open: it was changed, or the key is another than it was sealed with"
        ) from None


def _bound(metadata: Mapping[str, bytes]) -> bytes:
    """The metadata as the bytes that are sealed together with the data: nothing of it can be changed or added."""
    parts = [b"tidegate payload"]
    for name in sorted(metadata):
        for part in (name.encode(), metadata[name]):
            parts += [len(part).to_bytes(4, "big"), part]
    return b"".join(parts)
