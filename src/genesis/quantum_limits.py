"""Owns the figures that admission is decided by: the bounds of circuits and jobs, and a machine's coefficients.

Both are part of a run's first record, so that another machine decides the same. It must not know circuits.
"""

from __future__ import annotations

from typing import Final

import msgspec

MEBIBYTE: Final = 1_048_576


class QuantumLimits(msgspec.Struct, frozen=True):
    """A bound on everything, with what a CPU-second costs.

    Attributes:
        components_max: components of all circuits of one list together.
        operations_max: operations after sub-circuits and repeats are written out; of all circuits
            of a job together.
        nesting_max: how deep sub-circuits stand in one another.
        text_bytes_max: of OpenQASM that comes in or goes out.
        amplitudes_max: numbers of a state vector or probabilities in an answer, in all.
        memory_shots_max: shots whose outcomes are listed one by one, in all.
        bond_max: the bond cap χ of a matrix product state, and bond: the one by default.
        cpu_s_max, memory_bytes_max: of one job, by its estimate times ``safety``.
        cpu_us_min: the smallest hold, because small jobs vary most on a busy machine.
        compute_per_cpu_s: units of compute that a CPU-second costs.
    """

    qubits_max: int = 128
    clbits_max: int = 1_024
    components_max: int = 20_000
    operations_max: int = 10_000
    depth_max: int = 5_000
    nesting_max: int = 8
    text_bytes_max: int = 100_000
    circuits_max: int = 100
    points_max: int = 1_000
    parameters_max: int = 64
    shots_max: int = 1_000_000
    terms_max: int = 1_000
    amplitudes_max: int = 4_096
    memory_shots_max: int = 10_000
    bond_max: int = 256
    bond: int = 32
    cpu_s_max: float = 20.0
    memory_bytes_max: int = 1_024 * MEBIBYTE
    safety: float = 2.0
    cpu_us_min: int = 200_000
    compute_per_cpu_s: int = 100


class Coefficients(msgspec.Struct, frozen=True):
    """CPU seconds on one thread of one machine; ``calibrate`` measures them.

    The names: ``sv`` state vector measured at the end, ``ps`` per shot, ``st`` stabilizer, ``dm``
    density matrix, ``mps`` matrix product state, ``route`` transpiling to a coupling map
    (``hard``: from level 2 on). ``base`` is for a job, ``gate`` for an operation,
    ``shot`` for a shot. The values by default were measured on 2.5 GHz cores.
    """

    sv_base: float = 5.3e-3
    sv_gate: float = 2.9e-5
    sv_shot: float = 2.3e-7
    sv_shot_qubit: float = 2.3e-7
    sv_small_one: float = 6.6e-9
    sv_small_diagonal: float = 4.4e-9
    sv_one: float = 1.5e-9
    sv_many: float = 5.5e-9
    sv_diagonal: float = 4.2e-9
    sv_amplitude: float = 3.0e-8
    ps_base: float = 6e-3
    ps_gate: float = 3.1e-5
    ps_shot: float = 1.1e-5
    ps_shot_gate: float = 1.7e-7
    ps_shot_gate_noisy: float = 2.9e-6
    ps_small: float = 4.9e-9
    ps_large: float = 3.3e-9
    ps_measure: float = 6.4e-9
    ps_amplitude: float = 1.7e-7
    st_base: float = 5.4e-3
    st_gate: float = 2.3e-5
    st_gate_qubit: float = 3.4e-10
    st_shot: float = 3.0e-7
    st_shot_1: float = 3.8e-7
    st_shot_2: float = 7.2e-9
    st_shot_3: float = 1.4e-10
    dm_base: float = 7.3e-3
    dm_gate: float = 3.2e-5
    dm_amplitude: float = 1.7e-8
    dm_permuting: float = 1.6e-9
    dm_one: float = 6.8e-9
    dm_diagonal_one: float = 1.7e-8
    dm_diagonal_two: float = 6.0e-9
    dm_dense: float = 1.2e-8
    dm_noisy: float = 1.2e-8
    noise_base: float = 0.02
    noise_error: float = 1.0e-2
    mps_base: float = 1.5e-3
    mps_gate: float = 2.5e-5
    mps_step: float = 4.0e-6
    mps_bond: float = 6.0e-6
    mps_work: float = 8.4e-9
    mps_shot: float = 1.0e-6
    mps_shot_qubit: float = 8.3e-7
    mps_shot_site: float = 2.5e-6
    mps_shot_bond: float = 3.3e-8
    batch: float = 1.4e-3
    binding: float = 2.0e-4
    pauli_term: float = 4.0e-9
    answer_amplitude: float = 2.0e-6
    transpile_base: float = 0.02
    transpile_gate: float = 5.0e-5
    route_gate_qubit: float = 1.0e-5
    route_hard_gate_qubit: float = 4.0e-5
    read_base: float = 0.03
    read_two_byte: float = 1.0e-6
    read_three_byte: float = 3.5e-5
    draw_base: float = 0.03
    draw_gate: float = 2.5e-4
    plot_base: float = 0.3
    plot_gate: float = 6.0e-3
