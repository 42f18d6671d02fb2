"""JPEG XL: Pillow reads it through a plug-in, which is not installed everywhere."""

from PIL import Image

from corelic.errors import MissingPartError

FORMAT = "JXL"  # as the plug-in calls it
SUFFIX = ".jxl"
CODESTREAM, BOXES = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
SIGNATURES = CODESTREAM, BOXES  # how a file begins: bare, or boxed


def load_plugin() -> None:
    """Tells Pillow of the format, unless somebody has; MissingPartError where that cannot be."""
    if SUFFIX in Image.registered_extensions():
        return
    try:
        import pillow_jxl  # noqa: F401  # it registers the format
    except ImportError as error:
        raise MissingPartError("JPEG XL", "pillow-jxl-plugin", "bench") from error
