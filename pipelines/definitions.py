"""The code location `synthdata`: every dataset spec, bound to this installation.

Loading this file imports neither torch nor MONAI nor Great Expectations nor Ray, so that the web server, the daemon and
each new process start fast; the assets import what they need when they run.
"""

from pipelines.graph import build_definitions
from pipelines.places import spec_folders
from synthdata.spec import load_specs

defs = build_definitions(list(load_specs(spec_folders()).values()))
