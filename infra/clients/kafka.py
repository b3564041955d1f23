"""Options that every Kafka client of tidegate is made with.

One key goes to one partition whoever produces it: murmur2 everywhere (design §4, "Headers"). It is aiokafka's
default; librdkafka's is CRC32, so a client of that kind must be told `partitioner=murmur2_random`.
"""

from __future__ import annotations

import ssl
from typing import Any

from infra.errors import MisuseError
from infra.settings import KafkaSettings


def require_bootstrap(settings: KafkaSettings) -> str:
    """The brokers' addresses; :class:`MisuseError` where none was given and no stack runs."""
    if settings.bootstrap_servers is None:
        raise MisuseError(
            "no Kafka address: set TIDEGATE_KAFKA__BOOTSTRAP_SERVERS, "
            "or start the local stack with `tidegate up`"
        )
    return settings.bootstrap_servers


def aiokafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments common to aiokafka's consumer, producer and admin client."""
    options: dict[str, Any] = {
        "bootstrap_servers": require_bootstrap(settings),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol in {"SSL", "SASL_SSL"}:
        options["ssl_context"] = _tls_context(settings)
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = _reveal(settings)
    return options


def _reveal(settings: KafkaSettings) -> str | None:
    return settings.sasl_password.get_secret_value() if settings.sasl_password else None


def _tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(settings.ssl_cafile) if settings.ssl_cafile else None)
    if settings.ssl_certfile:
        context.load_cert_chain(
            str(settings.ssl_certfile), str(settings.ssl_keyfile) if settings.ssl_keyfile else None
        )
    return context
