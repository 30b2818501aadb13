"""The code location: binds the assets of every dataset spec to stores, engine, keys, jobs, schedules and sensors."""

import os

# before anything imports them: neither library may phone home from a hospital
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
