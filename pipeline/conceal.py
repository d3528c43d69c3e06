"""Keep secrets out of logs and messages.

GDAL, urllib3 and others put whole URLs into their log records, and a signed URL is a key. A
secret that is about to be used is named here first; from then on no record of those libraries
shows it, at no level. What looks like a signature is left out even if nobody named it.
"""

import logging
import re
import threading
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote

_LIBRARIES = frozenset(
    {
        "botocore",
        "distributed",
        "earthaccess",
        "ee",
        "fsspec",
        "google",
        "google_auth_httplib2",
        "googleapiclient",
        "h5py",
        "httpx",
        "rasterio",
        "requests",
        "urllib3",
    }
)
"""First words of the names of loggers that may be given a URL or a header."""

_HIDDEN = "[hidden]"
_SHORTEST = 8
"""Characters below which a text is no secret; leaving it out would garble other words."""
_KEPT = 512
"""Secrets remembered at most; the oldest, long expired, go first."""
_SIGNATURE = re.compile(
    r"((?<![\w-])(?:sig|signature|x-amz-(?:signature|credential|security-token)|"
    r"x-goog-(?:signature|credential)|access_token|awsaccesskeyid|key-pair-id|policy)=)"
    r"[^&\s'\"<>,;)]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer\s+)[\w.~+/=-]{20,}", re.IGNORECASE)

_secrets: dict[str, None] = {}
_lock = threading.Lock()


def conceal(secret: str) -> None:
    """Keep `secret` out of all messages from now on, however its characters are escaped.

    Args:
        secret: A bearer token, a key, or the query string that signs a URL.
    """
    with _lock:
        for form in _forms(secret):
            _secrets.pop(form, None)
            _secrets[form] = None
        while len(_secrets) > _KEPT:
            del _secrets[next(iter(_secrets))]
    watch_loggers()


def scrubbed(text: str) -> str:
    """Return a text without the concealed secrets and without anything like a signature.

    Example:
        >>> scrubbed("HTTP error 403 on http://a/b.tif?st=1&sig=4f1c")
        'HTTP error 403 on http://a/b.tif?st=1&sig=[hidden]'
    """
    with _lock:
        known = sorted(_secrets, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, _HIDDEN)
    return _BEARER.sub(rf"\1{_HIDDEN}", _SIGNATURE.sub(rf"\1{_HIDDEN}", text))


class _Scrubber(logging.Filter):
    """Lets every record through, without its secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub the record's message and traceback."""
        said = record.getMessage()
        clean = scrubbed(said)
        if clean != said:
            record.msg, record.args = clean, ()
        if record.exc_info:
            traceback = _FORMATTER.formatException(record.exc_info)
            if scrubbed(traceback) != traceback:
                record.exc_info, record.exc_text = None, scrubbed(traceback)
        return True


_FORMATTER = logging.Formatter()
_SCRUBBER = _Scrubber()


def watch_loggers() -> None:
    """Scrub from now on what the libraries log, as far as their loggers exist by now."""
    # A filter of a logger does not see the records of its children.
    for name in (*_LIBRARIES, *list(logging.root.manager.loggerDict)):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_SCRUBBER)


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret may be written, its signature alone included."""
    signature = dict(parse_qsl(secret)).get("sig", "") if "=" in secret else ""
    for text in (secret, signature):
        if len(text) >= _SHORTEST:
            yield from dict.fromkeys((text, unquote(text), quote(text, safe=""), quote(text)))
