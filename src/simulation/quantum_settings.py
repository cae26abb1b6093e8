"""Owns what is configured of genesis_quantum: its workers, its bounds, and what a machine's jobs cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

import msgspec
from pydantic import Field, model_validator

from ..genesis.quantum_limits import Coefficients, QuantumLimits
from ..genesis.quantum_submitting import DeviceTerms
from .config_model import Count, Model, Positive, Seconds, Text
from .settings import nearest

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class QuantumLimitSettings(Model):
    """A bound on everything that can be asked of genesis_quantum; part of the log."""

    qubits_max: Positive = Field(description="Most qubits of a circuit.")
    clbits_max: Positive = Field(description="Most classical bits of a circuit.")
    components_max: Positive = Field(description="Most components of one list, sub-circuits too.")
    operations_max: Positive = Field(
        description="Most operations of a job, sub-circuits and repeats written out."
    )
    depth_max: Positive = Field(description="Deepest circuit.")
    nesting_max: Positive = Field(description="Deepest nesting of sub-circuits.")
    text_bytes_max: Positive = Field(description="Largest OpenQASM, in or out.")
    circuits_max: Positive = Field(description="Most circuits of one job.")
    points_max: Positive = Field(description="Most points of a parameter sweep.")
    parameters_max: Positive = Field(description="Most parameters of a circuit.")
    shots_max: Positive = Field(description="Most shots of a job.")
    terms_max: Positive = Field(description="Most terms of an observable.")
    amplitudes_max: Positive = Field(description="Most amplitudes or probabilities in an answer.")
    memory_shots_max: Positive = Field(description="Most shots that are listed one by one.")
    bond_max: Positive = Field(description="Largest bond cap of a matrix product state.")
    bond: Positive = Field(description="The bond cap where a job names none.")
    cpu_s_max: Seconds = Field(description="Most CPU time of one job, its estimate times `safety`.")
    memory_bytes_max: Positive = Field(description="Most memory of one job.")
    safety: Factor = Field(description="What an estimate is multiplied by to be held.")
    cpu_us_min: Count = Field(description="Smallest hold of CPU time.")
    compute_per_cpu_s: Positive = Field(description="Units of compute that a CPU-second costs.")


class QuantumDeviceSettings(Model):
    """Real devices, through the account of whoever operates the world."""

    token_env: Text = Field(
        description="Variable of the environment that holds the account's token; only its name is kept."
    )
    instance_env: Text = Field(
        description="Variable of the environment that names the account's instance; one is chosen without."
    )
    price_shot_scrip: Count = Field(
        description="Scrip for each shot of a submitted job, paid to the artifact's owner; part of the log."
    )
    shots_max: Positive = Field(description="Most shots of a submitted job; part of the log.")


class QuantumSettings(Model):
    """Quantum circuits, simulated in workers of our own."""

    enabled: bool = Field(description="Whether genesis_quantum is part of the world.")
    workers: Positive = Field(description="Jobs that run side by side.")
    start_timeout_s: Seconds = Field(description="Real time until a worker is ready.")
    devices: QuantumDeviceSettings = Field(description="Jobs for real devices.")
    limits: QuantumLimitSettings = Field(description="A bound on everything; part of the log.")
    coefficients: Mapping[str, Factor] = Field(
        description="CPU seconds of the terms of an estimate on this machine; part of the log. "
        "`scripworld quantum calibrate` measures them.",
        json_schema_extra={"names": ["coefficient"]},
    )

    @model_validator(mode="after")
    def _names_every_coefficient(self) -> Self:
        known = Coefficients.__struct_fields__
        for name in self.coefficients:
            if name not in known:
                raise ValueError(f"there is no coefficient {name!r}{nearest(name, known)}")
        missing = [name for name in known if name not in self.coefficients]
        if missing:
            raise ValueError(f"the coefficients lack {', '.join(missing[:5])}")
        return self

    def parts(self) -> tuple[QuantumLimits, Coefficients, DeviceTerms]:
        """The bounds, the coefficients and the terms for devices as the artifact takes them."""
        limits = msgspec.convert(self.limits.model_dump(), QuantumLimits)
        terms = DeviceTerms(self.devices.price_shot_scrip, self.devices.shots_max)
        return limits, msgspec.convert(dict(self.coefficients), Coefficients), terms
