"""Kinetics of a tracer or a therapy in every voxel, with the whole body's balance.

Imports run one way: agent → biology → levels; agent → balance; both → voxel_kinetics.
"""

from rpt_phantom.agents.agent import THERAPIES, TRACERS, Agent, Region, agent_of
from rpt_phantom.agents.biology import POPULATION, Biology, draw_biology
from rpt_phantom.agents.levels import Heterogeneity, draw_heterogeneity
from rpt_phantom.agents.voxel_kinetics import VoxelKinetics, voxel_kinetics

__all__ = [
    "POPULATION",
    "THERAPIES",
    "TRACERS",
    "Agent",
    "Biology",
    "Heterogeneity",
    "Region",
    "VoxelKinetics",
    "agent_of",
    "draw_biology",
    "draw_heterogeneity",
    "voxel_kinetics",
]
