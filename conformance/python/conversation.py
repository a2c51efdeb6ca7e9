"""The other end of `./x conformance`: one call a line comes in, one outcome a line goes out.

It knows neither SDKs nor actions; a driver hands it a function that plays one call.
"""

import json
import os
import sys
from collections import namedtuple
from urllib.parse import urlsplit

# Where the server is: scheme ("http" or "https"), place ("host:port"), host and port.
Endpoint = namedtuple("Endpoint", "scheme place host port")
# The access key to sign with; `token` is empty unless it is a temporary one.
Credential = namedtuple("Credential", "key secret token")
# One call: product and action by their public names, parameters as the API nests them, and the
# credential.
Call = namedtuple("Call", "product action parameters credential")

VERSIONS = {"Ecs": "2014-05-26", "Vpc": "2016-04-28", "Sts": "2015-04-01"}
REGION = "cn-hangzhou"


class Refused(Exception):
    """What the SDK made of an error."""

    def __init__(self, code, message, status=None):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def endpoint():
    url = urlsplit(os.environ["CONFORMANCE_ENDPOINT"])
    return Endpoint(url.scheme, url.netloc, url.hostname, url.port)


def flat(parameters):
    """The nested parameters as `Name.1.Key` texts, for clients that leave this to the caller."""
    found = {}

    def walk(name, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{name}.{key}", inner)
        elif isinstance(value, list):
            for number, inner in enumerate(value, 1):
                walk(f"{name}.{number}", inner)
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)

    for name, value in parameters.items():
        walk(name, value)
    return found


def converse(play):
    """Plays each call that comes in; `play(call)` returns the answer or raises `Refused`."""
    # What the SDK prints is not part of the conversation.
    outcomes, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            told = json.loads(line)
            told["credential"] = Credential(*(told.pop(name) for name in Credential._fields))
            outcome = {"answer": play(Call(**told))}
        except Refused as refused:
            outcome = dict(vars(refused))
        except Exception as error:  # pylint: disable=broad-except
            outcome = {"broken": f"{type(error).__name__}: {error}"}
        print(json.dumps(outcome), file=outcomes, flush=True)
