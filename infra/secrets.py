"""Where secrets come from: this process's environment, a mounted file, or Azure Key Vault, behind one port.

A setting that is secret (a password, an address that holds one, an API key, payload keys) is the secret itself
or says where it stands:

    env:NAME          the environment variable NAME
    file:/path        the text of a file, without the line break at its end: a mounted secret
    keyvault:NAME     the secret NAME of the vault at TIDEGATE_SECRETS__KEYVAULT_URL; NAME/VERSION for one version
    literal:TEXT      TEXT itself, for a secret that begins like one of these

It is read when it is first used and kept in this process only: child processes are handed the reference. No error
and no ``repr`` shows a secret.

Source: 000, "Security": worker credentials via Key Vault.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from infra.errors import MisuseError

_REFERENCE: Final = re.compile(r"(env|file|keyvault|literal):(.*)", re.DOTALL)
_LARGEST_FILE: Final = 64 * 1024


class SecretSource(Protocol):
    """Gives secrets by name. To add a place where secrets are kept, write one method and name it in :func:`sources`.

    What tidegate does: it calls :meth:`read` once for each secret that a process uses, when it is first used,
    from whatever thread that is, and keeps the answer until the process ends. A rotated secret is taken up by a
    restart.

    What an adapter must do:

    - Give the secret's text exactly, or raise: :class:`~infra.errors.MisuseError` where the name is wrong,
      nothing stands under it or we may not read it; :class:`~infra.errors.UnavailableError` where the place does
      not answer, after it has tried again by itself for some seconds.
    - Say in the error what was asked for and what to do, in one line, and never what was found.
    - Block: a process can do nothing before it has its secrets.
    """

    def read(self, name: str) -> str:
        """The secret called ``name``."""


class EnvironmentSource:
    """Secrets in environment variables."""

    def read(self, name: str) -> str:
        """The variable ``name``; :class:`MisuseError` where it is not set."""
        value = os.environ.get(name)
        if value is None:
            raise MisuseError(f"the environment variable {name}, in which a secret should stand, is not set")
        return value


class FileSource:
    """Secrets in files, as a container platform mounts them."""

    def read(self, name: str) -> str:
        """The text of the file at ``name``, without one line break at its end; :class:`MisuseError` where it cannot
        be read, or holds more than 64 KiB or no text."""
        try:
            with Path(name).open("rb") as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise MisuseError(
                f"the file {name}, in which a secret should stand, cannot be read: {error.strerror}"
            ) from None
        if len(content) > _LARGEST_FILE:
            raise MisuseError(f"the file {name} holds more than {_LARGEST_FILE} bytes: that is no secret")
        try:
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            # Without its cause: that error repeats the bytes.
            raise MisuseError(f"the file {name}, in which a secret should stand, is not UTF-8") from None


class LiteralSource:
    """The secret is its own name."""

    def read(self, name: str) -> str:
        """``name``."""
        return name


class _NoVault:
    def read(self, name: str) -> str:
        raise MisuseError(
            f"keyvault:{name.partition('/')[0]} stands in a vault: set TIDEGATE_SECRETS__KEYVAULT_URL to its address"
        )


def sources(keyvault_url: str | None = None) -> Mapping[str, Callable[[], SecretSource]]:
    """Each place by the word before the colon; it is opened when the first secret of it is asked for."""
    return {
        "env": EnvironmentSource,
        "file": FileSource,
        "literal": LiteralSource,
        "keyvault": lambda: _vault(keyvault_url) if keyvault_url else _NoVault(),
    }


def _vault(url: str) -> SecretSource:
    from infra.clients.keyvault import KeyVaultSource  # an optional extra, which few installations have

    return KeyVaultSource(url)


class Secret(SecretStr):
    """A secret setting: the secret, or a reference to where it stands.

    ``get_secret_value()`` reads it when it is first called and raises what :class:`SecretSource` raises.
    ``reference`` is what the setting says; treat it as a secret too, since it may be one.
    """

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self.reference = reference
        self._places = sources()
        self._found: str | None = None

    def find_in(self, places: Mapping[str, Callable[[], SecretSource]]) -> None:
        """Look in ``places`` from now on."""
        self._places = places

    def get_secret_value(self) -> str:
        """The secret itself."""
        if self._found is None:
            self._found = resolve(self.reference, self._places)
        return self._found

    def resolve(self, reference: str) -> str:
        """What another ``reference``, found inside this secret, stands for."""
        return resolve(reference, self._places)

    def __eq__(self, other: object) -> bool:
        """Whether both settings say the same; nothing is read for it."""
        return isinstance(other, Secret) and self.reference == other.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text, a secret of pydantic's own, or one of these."""
        of_text = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_before_validator_function(_as_text, of_text)


def resolve(reference: str, places: Mapping[str, Callable[[], SecretSource]]) -> str:
    """What ``reference`` stands for: itself, unless it names one of ``places``. Raises as :class:`SecretSource`."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return reference
    return places[found[1]]().read(found[2])


def _as_text(value: Any) -> Any:
    if isinstance(value, SecretStr) and not isinstance(value, Secret):
        return value.get_secret_value()
    return value
