"""The simulated payment provider as an HTTP service.

The requests are those of :mod:`services.payments.http_provider`. For tests and audits:

    GET /books[?reference=…]   {authorizations: [{authorization_id, reference, amount, currency, state, captured,
                               refunded, refunds}]}: a reference is the payment's id
    GET /requests              {authorize: 3, capture: 1, …}: how often each operation was asked for
    GET /faults, PUT /faults   the fields of Faults: what goes wrong from now on
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from aiohttp import web
from sqlalchemy.exc import DBAPIError

from infra.errors import InvalidInputError, UnavailableError
from services.upstream.provider import books as at_the_desk
from services.upstream.provider.books import Answer, Books, Work
from services.upstream.provider.faults import ERROR, LOST, Chance, Faults


class ProviderServer:
    """Serves ``books`` over HTTP, with ``faults``; an asynchronous context manager. ``port`` 0 takes a free one."""

    def __init__(
        self, books: Books, faults: Faults | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._books = books
        self._chance = Chance(faults or Faults())
        self._requests: Counter[str] = Counter()
        self._host, self._port = host, port
        self._runner = web.AppRunner(self._application(), access_log=None, handle_signals=False)

    @property
    def url(self) -> str:
        """Where it serves, once it does."""
        return f"http://{self._host}:{self._runner.addresses[0][1]}"

    @property
    def requests(self) -> Counter[str]:
        """How often each operation was asked for, whatever came of it."""
        return Counter(self._requests)

    def misbehave(self, faults: Faults) -> None:
        """From now on, this goes wrong and nothing else."""
        self._chance = Chance(faults)

    async def __aenter__(self) -> ProviderServer:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UnavailableError(f"cannot serve on {self._host}:{self._port}: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_in_json])
        application.add_routes(
            [
                web.post("/authorizations", self._authorize),
                web.post("/authorizations/{id}/capture", self._capture),
                web.post("/authorizations/{id}/void", self._void),
                web.post("/authorizations/{id}/refunds", self._refund),
                web.get("/authorizations/{id}/fraud-score", self._fraud_score),
                web.get("/cards/{token}", self._card),
                web.get("/books", self._view),
                web.get("/requests", self._count),
                web.get("/faults", self._faults),
                web.put("/faults", self._set_faults),
            ]
        )
        return application

    # --- What a shop asks -----------------------------------------------------------------------------

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        reference, token = str(body["reference"]), str(body["payment_token"])
        work = partial(
            at_the_desk.authorize,
            chance=self._chance,
            reference=reference,
            amount=Decimal(body["amount"]),
            currency=str(body["currency"]),
            token=token,
        )
        return await self._answer(request, "authorize", body, work)

    async def _capture(self, request: web.Request) -> web.StreamResponse:
        body, authorization_id = await request.json(), request.match_info["id"]
        work = partial(
            at_the_desk.capture,
            chance=self._chance,
            authorization_id=authorization_id,
            amount=Decimal(body["amount"]),
        )
        return await self._answer(request, "capture", body, work)

    async def _void(self, request: web.Request) -> web.StreamResponse:
        authorization_id = request.match_info["id"]
        work = partial(at_the_desk.void, authorization_id=authorization_id)
        return await self._answer(request, "void", {}, work)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        body, authorization_id = await request.json(), request.match_info["id"]
        work = partial(at_the_desk.refund, authorization_id=authorization_id, amount=Decimal(body["amount"]))
        return await self._answer(request, "refund", body, work)

    async def _fraud_score(self, request: web.Request) -> web.StreamResponse:
        authorization_id = request.match_info["id"]
        row = await self._books.find(authorization_id)
        if row is None:
            return _response(Answer.no(404, "unknown", f"there is no authorisation {authorization_id}"))
        model = request.query.get("model", "v1")
        score = self._chance.fraud_score(row["reference"], row["payment_token"], model)
        return await self._answer(
            request, "fraud", {}, _saying(Answer(200, {"score": score})), row["reference"]
        )

    async def _card(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        problem = self._chance.card_problem(token)
        return await self._answer(request, "card", {}, _saying(Answer(200, {"problem": problem})), token)

    async def _answer(
        self, request: web.Request, operation: str, body: Any, work: Work, subject: str | None = None
    ) -> web.StreamResponse:
        """Meet what is to go wrong, do the work once for its key, and answer; or do it and say nothing."""
        self._requests[operation] += 1
        key = request.headers.get("Idempotency-Key")
        mishap = self._chance.mishap(operation, subject or key or request.path)
        if self._chance.faults.delay:
            await asyncio.sleep(self._chance.faults.delay)
        if mishap == ERROR:
            return _response(Answer.no(503, "unavailable", "not now"))
        wish = json.dumps([request.path, body], sort_keys=True)
        answer = await self._books.once(key, wish, work)
        if mishap == LOST and request.transport is not None:
            request.transport.abort()
        return _response(answer)

    # --- What tests and audits ask --------------------------------------------------------------------

    async def _view(self, request: web.Request) -> web.StreamResponse:
        rows = await self._books.view(request.query.get("reference"))
        return _response(Answer(200, {"authorizations": [asdict(row) for row in rows]}))

    async def _count(self, _: web.Request) -> web.StreamResponse:
        return _response(Answer(200, dict(self._requests)))

    async def _faults(self, _: web.Request) -> web.StreamResponse:
        return _response(Answer(200, asdict(self._chance.faults)))

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        self.misbehave(Faults.from_json(await request.json()))
        return await self._faults(request)


def _saying(answer: Answer) -> Work:
    async def work(_: object) -> Answer:
        return answer

    return work


def _response(answer: Answer) -> web.Response:
    return web.json_response(
        answer.body, status=answer.status, dumps=lambda body: json.dumps(body, default=str)
    )


@web.middleware
async def _in_json(request: web.Request, handler: Any) -> web.StreamResponse:
    """What cannot be read is the caller's fault (400); a database that is away is ours (503)."""
    try:
        response: web.StreamResponse = await handler(request)
    except (KeyError, TypeError, ValueError, InvalidOperation, InvalidInputError) as error:
        return _response(Answer.no(400, "unreadable", f"{type(error).__name__}: {error}"))
    except (DBAPIError, OSError) as error:
        return _response(Answer.no(503, "unavailable", str(error)))
    return response
