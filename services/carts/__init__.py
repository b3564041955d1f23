"""Carts: what became of each, once it was bought or given up. While it lives, its workflow holds it (001).

The storefront's back end: a cart that is handed over asks for its checkout itself.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.carts.operations import Carts
from services.carts.states import CartState
from services.carts.views import CartView
from services.shopping_cart import Cart, checkout_of

MIGRATIONS = MigrationRoom("carts", Path(__file__).parent / "migrations")
"""The revisions of the schema ``carts``."""

__all__ = ["MIGRATIONS", "Cart", "CartState", "CartView", "Carts", "checkout_of"]
