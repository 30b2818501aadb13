"""What the assets ask for by protocol, opened from the settings of this installation."""

from pipelines.resources.binding import default_resources

__all__ = ["default_resources"]
