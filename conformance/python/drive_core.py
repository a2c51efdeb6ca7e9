"""Plays calls through aliyun-python-sdk-core: the typed requests of aliyun-python-sdk-ecs and -vpc
(`typed`), or CommonRequest (`common`), which puts its parameters into a form body."""

import functools
import importlib
import json
import sys

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

import conversation

FORM = sys.argv[1]
ENDPOINT = conversation.endpoint()
MODULES = {"Ecs": "aliyunsdkecs.request.v20140526", "Vpc": "aliyunsdkvpc.request.v20160428"}


@functools.lru_cache
def client(key, secret, token):
    if token:
        temporary = StsTokenCredential(key, secret, token)
        return AcsClient(region_id=conversation.REGION, credential=temporary)
    return AcsClient(key, secret, conversation.REGION)


def typed(call):
    name = f"{call.action}Request"
    module = importlib.import_module(f"{MODULES[call.product]}.{name}")
    request = getattr(module, name)()
    for parameter, value in call.parameters.items():
        one = getattr(request, f"set_{parameter}", None)
        many = getattr(request, f"set_{parameter}s", None)
        if many and isinstance(value, list):
            many(value)
        elif one:
            one(value)
        else:
            for flat_name, text in conversation.flat({parameter: value}).items():
                request.add_query_param(flat_name, text)
    request.set_endpoint(ENDPOINT.place)
    return request


def common(call):
    request = CommonRequest(
        domain=ENDPOINT.place,
        version=conversation.VERSIONS[call.product],
        action_name=call.action,
        product=call.product,
    )
    request.set_method("POST")
    for name, text in conversation.flat(call.parameters).items():
        request.add_body_params(name, text)
    return request


def play(call):
    request = typed(call) if FORM == "typed" and call.product in MODULES else common(call)
    request.set_protocol_type(ENDPOINT.scheme)
    try:
        return json.loads(client(*call.credential).do_action_with_exception(request))
    except ServerException as error:
        code, message = error.get_error_code(), error.get_error_msg()
        raise conversation.Refused(code, message, error.get_http_status()) from error


if __name__ == "__main__":
    conversation.converse(play)
