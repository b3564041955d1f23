"""A carrier's label desk that refuses as often as the simulation says."""

from __future__ import annotations

from infra.ids import derived_id
from services.errors import LabelRefusedError
from services.label_carrier import Label
from services.upstream.simulation import Simulation


class SimulatedLabelCarrier:
    """A :class:`services.label_carrier.LabelCarrier` without a network: a shipment has one label."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def label(self, shipment_id: str, attempt: int) -> Label:
        """The label of ``shipment_id``, or :class:`LabelRefusedError` as decided for this ``attempt``."""
        if self._simulation.happens(self._simulation.label_failure, shipment_id, f"label/{attempt}"):
            raise LabelRefusedError(
                f"the carrier gave no label for shipment {shipment_id} (attempt {attempt})"
            )
        return Label("simulated-carrier", f"SIM{derived_id('label', shipment_id).int % 10**12:012d}")
