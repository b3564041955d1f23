"""Secrets in Azure Key Vault: the extra ``tidegate[azure]``.

Who we are to the vault is found as Azure's own library does it (``DefaultAzureCredential``): workload identity or
managed identity where we run in Azure, ``AZURE_CLIENT_ID``, ``AZURE_TENANT_ID`` and ``AZURE_CLIENT_SECRET``
elsewhere, the login of the ``az`` command on a desk. It needs the role "Key Vault Secrets User" and no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from infra.errors import MisuseError, UnavailableError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_NAME: Final = re.compile(r"([0-9A-Za-z-]{1,127})(?:/([0-9A-Za-z]{1,64}))?")


_PATIENCE: Final = {"retry_total": 3, "connection_timeout": 5, "read_timeout": 10}
"""Tries after the first, with a pause that doubles from 0.8 s; seconds. The library's own ten take minutes."""


class KeyVaultSource:
    """Secrets of the vault at ``url`` (https://NAME.vault.azure.net), the newest version of each unless one is named.

    ``credential`` is who asks, by default whoever this process is to Azure; ``options`` go to the client of the
    vault. Raises :class:`MisuseError` where the extra is not installed.
    """

    def __init__(self, url: str, credential: TokenCredential | None = None, **options: Any) -> None:
        try:
            from azure.identity import DefaultAzureCredential
            from azure.keyvault.secrets import SecretClient
        except ImportError as error:
            raise MisuseError("secrets of Azure Key Vault need the extra: install tidegate[azure]") from error
        if not url.startswith("https://"):
            raise MisuseError("TIDEGATE_SECRETS__KEYVAULT_URL must begin with https://")
        self._url = url
        self._credential = credential
        self._open: Callable[[Any], Any] = lambda who: SecretClient(
            vault_url=url, credential=who, **{**_PATIENCE, **options}
        )
        self._anybody: Callable[[], Any] = DefaultAzureCredential

    def read(self, name: str) -> str:
        """The secret ``name`` or ``name/version``; errors as of :class:`~infra.secrets.SecretSource`."""
        from azure.core.exceptions import (
            AzureError,
            ClientAuthenticationError,
            HttpResponseError,
            ResourceNotFoundError,
        )

        asked = _NAME.fullmatch(name)
        if asked is None:
            raise MisuseError("a secret of a vault is called by letters, digits and dashes: keyvault:NAME")
        where = f"keyvault:{name} of {self._url}"
        # Errors are raised without their cause: the library's repeat what the vault answered.
        try:
            with self._open(self._credential or self._anybody()) as client:
                value = client.get_secret(asked[1], asked[2]).value
        except ResourceNotFoundError:
            raise MisuseError(f"there is no {where}") from None
        except ClientAuthenticationError:
            raise MisuseError(
                f"{where} is refused: the vault or Azure's login does not know this process"
            ) from None
        except HttpResponseError as error:
            if error.status_code == 403:
                raise MisuseError(
                    f"{where} is refused: give this identity the role Key Vault Secrets User"
                ) from None
            raise UnavailableError(f"{where} cannot be read: the vault answers {error.status_code}") from None
        except AzureError as error:
            raise UnavailableError(f"{where} cannot be read: {type(error).__name__}") from None
        if value is None:
            raise MisuseError(f"{where} is empty")
        return str(value)
