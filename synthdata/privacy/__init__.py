"""Privacy: are generated cases nearer to training patients than chance allows, and may they be released?"""

from synthdata.privacy.measure import measure_privacy
from synthdata.privacy.verdict import decide
from synthdata.privacy.waivers import may_release, sign_waiver

__all__ = ["decide", "may_release", "measure_privacy", "sign_waiver"]
