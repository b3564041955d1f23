"""``tidegate carts``: fill a cart, look at it, buy it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from infra.settings import Settings
from tidegate.carts import check_out, remove_item, set_item, show
from tidegate.console import JsonOption, emit_json, emit_table, run, say
from workflows.contracts.cart import CartRequest, SetItem

CartId = Annotated[str, typer.Argument(help="The cart: any id, the same for all its changes.")]
UpdateId = Annotated[
    str | None,
    typer.Option(
        help="Name of this change; a name counts once, so a command that was cut off can be repeated."
    ),
]
_COLUMNS = ("sku", "quantity", "unit_price", "discount")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    carts = typer.Typer(no_args_is_help=True, help="Fill a cart, look at it, buy it.")
    app.add_typer(carts, name="carts")

    @carts.command(name="set")
    def set_(
        cart_id: CartId,
        sku: Annotated[str, typer.Argument(help="What to put in.")],
        quantity: Annotated[
            int, typer.Argument(help="How many pieces lie in it then, whatever lay there before.")
        ],
        price: Annotated[str, typer.Option(help="Price of one piece, say 9.99.")],
        discount: Annotated[str, typer.Option(help="Fraction taken off, say 0.15.")] = "0",
        customer: Annotated[
            str, typer.Option(help="Whose cart it is, where it begins: a reference, never a name.")
        ] = "customer",
        currency: Annotated[str, typer.Option(help="Currency of its prices.")] = "EUR",
        update_id: UpdateId = None,
        json: JsonOption = False,
    ) -> None:
        """Put so many pieces of SKU into the cart; the first begins it. It is given up after 7 days without a change.

        Example: `tidegate carts set c-1 DESK 2 --price 249.00 --discount 0.15 --customer c-7`
        """
        cart = CartRequest(cart_id, customer, currency)
        item = SetItem(sku, quantity, price, discount, currency)
        _print(run(set_item(Settings(), cart, item, update_id)), json=json)

    @carts.command()
    def remove(
        cart_id: CartId,
        sku: Annotated[str, typer.Argument(help="What to take out.")],
        update_id: UpdateId = None,
        json: JsonOption = False,
    ) -> None:
        """Take SKU out of the cart.

        Example: `tidegate carts remove c-1 DESK`
        """
        _print(run(remove_item(Settings(), cart_id, sku, update_id)), json=json)

    @carts.command(name="show")
    def show_(cart_id: CartId, json: JsonOption = False) -> None:
        """Show what lies in the cart and until when, or what became of it.

        Example: `tidegate carts show c-1`
        """
        _print(run(show(Settings(), cart_id)), json=json)

    @carts.command()
    def checkout(
        cart_id: CartId,
        payment_token: Annotated[
            str, typer.Option(help="The payment provider's reference to the means of payment.")
        ],
        update_id: UpdateId = None,
        json: JsonOption = False,
    ) -> None:
        """Buy what lies in the cart: its checkout begins. However often it is asked for, it is bought once.

        Example: `tidegate carts checkout c-1 --payment-token tok_visa`
        """
        _print(run(check_out(Settings(), cart_id, payment_token, update_id)), json=json)


def _print(cart: dict[str, Any], *, json: bool) -> None:
    if json:
        emit_json(cart)
        return
    for name in ("cart_id", "state", "customer_id", "currency", "pieces", "total", "idle_until"):
        if cart.get(name) is not None:
            say(f"{name.replace('_', ' '):12} {cart[name]}")
    if cart["state"] == "CHECKED_OUT":
        say(f"{'checkout id':12} {cart['checkout_id']}\n{'order id':12} {cart['order_id']}")
    if cart["lines"]:
        emit_table(f"{len(cart['lines'])} items", cart["lines"], _COLUMNS)
