"""Who we are to a server of scans, from the environment alone; no message holds what stands there."""

import base64
import os

from synthdata.errors import ConfigError

USER, PASSWORD, TOKEN = "SYNTHDATA_DICOMWEB_USER", "SYNTHDATA_DICOMWEB_PASSWORD", "SYNTHDATA_DICOMWEB_TOKEN"


def credentials() -> dict[str, str]:
    """Headers of a question; none where no variable is set. The end of a line, as files have it, is no part of them.

    Raises:
        ConfigError: A variable holds what no header can hold.
    """
    token, user, password = (os.environ.get(name, "").rstrip("\r\n") for name in (TOKEN, USER, PASSWORD))
    if token:
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ConfigError(
                f"{TOKEN} holds something that is no token, expected one word in ASCII: set it again"
            )
        return {"Authorization": f"Bearer {token}"}
    if password and not user:
        raise ConfigError(f"{PASSWORD} is set and {USER} is not, expected both: set both, or none")
    if not user:
        return {}
    if ":" in user or not f"{user}{password}".isprintable():
        raise ConfigError(
            f"{USER} or {PASSWORD} holds what basic authentication cannot say (a colon in the user, a control "
            "character), expected plain texts: set them again"
        )
    said = base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode()
    return {"Authorization": f"Basic {said}"}
