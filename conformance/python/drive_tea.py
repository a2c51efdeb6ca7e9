"""Plays calls through alibabacloud_ecs20140526 and alibabacloud_vpc20160428: their typed requests
and answers, signed with ACS3-HMAC-SHA256 (`acs3`) or with signature 1.0 (`v2`)."""

import functools
import os
import sys

from alibabacloud_ecs20140526 import client as ecs, models as ecs_models
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_util.models import RuntimeOptions
from alibabacloud_vpc20160428 import client as vpc, models as vpc_models
from Tea.exceptions import TeaException

import conversation

SIGNATURE = {"acs3": None, "v2": "v2"}[sys.argv[1]]
ENDPOINT = conversation.endpoint()
PRODUCTS = {"Ecs": (ecs.Client, ecs_models), "Vpc": (vpc.Client, vpc_models)}


@functools.lru_cache
def client(product, key, secret, token):
    config = Config(
        access_key_id=key,
        access_key_secret=secret,
        security_token=token or None,
        endpoint=ENDPOINT.place,
        protocol=ENDPOINT.scheme,
        signature_algorithm=SIGNATURE,
    )
    return PRODUCTS[product][0](config)


def method(product, action):
    """`create_vswitch_with_options` for `CreateVSwitch`."""
    wanted = f"{action.lower()}withoptions"
    names = dir(PRODUCTS[product][0])
    return next(name for name in names if name.replace("_", "") == wanted)


def play(call):
    request = getattr(PRODUCTS[call.product][1], f"{call.action}Request")()
    request.from_map(call.parameters)
    lost = call.parameters.keys() - request.to_map().keys()
    if lost:
        raise ValueError(f"the model has no {lost}")
    runtime = RuntimeOptions(ca=os.environ.get("CONFORMANCE_CA"))
    made = client(call.product, *call.credential)
    try:
        return getattr(made, method(call.product, call.action))(request, runtime).body.to_map()
    except TeaException as error:
        status = (error.data or {}).get("statusCode") or getattr(error, "statusCode", None)
        raise conversation.Refused(error.code, error.message, status) from error


if __name__ == "__main__":
    conversation.converse(play)
