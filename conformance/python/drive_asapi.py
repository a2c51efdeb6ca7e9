"""Plays calls through aliyun-python-sdk-asapi, the SDK of Apsara Stack: everything in the query of
a GET (`get`), a JSON body by POST (`json`), or the same at the gateway's route (`route`)."""

import functools
import json
import logging
import sys

from aliyunsdkasapi.ASClient import ASClient
from aliyunsdkasapi.AsapiRequest import AsapiRequest

import conversation

FORM = sys.argv[1]
PLACE = conversation.endpoint().place
# It logs every call on its own.
logging.disable(logging.CRITICAL)


@functools.lru_cache
def client(key, secret):
    made = ASClient(key, secret, conversation.REGION)
    made.setSdkSource("conformance")
    return made


def texts(value):
    """Structures as this SDK signs them: it joins their values as text."""
    if isinstance(value, list):
        return [texts(item) for item in value]
    if isinstance(value, dict):
        return {name: str(inner) for name, inner in value.items()}
    return value


def play(call):
    key, secret, token = call.credential
    parameters = dict(call.parameters)
    if token:
        # It has no temporary keys of its own; whoever has one passes the token along.
        parameters["SecurityToken"] = token
    path = f"apsara/route/{call.product}/{call.action}" if FORM == "route" else "asapi/v3"
    request = AsapiRequest(call.product, "2016-01-01", call.action, f"{PLACE}/{path}")
    request.add_header("x-acs-organizationid", "1")
    request.add_header("x-acs-resourcegroupid", "2")
    if FORM == "get":
        request.set_method("GET")
        for name, text in conversation.flat(parameters).items():
            request.add_query_param(name, text)
        body = client(key, secret).do_action(request)
    else:
        request.set_method("POST")
        for name, value in parameters.items():
            request.add_body_params(name, texts(value))
        body = client(key, secret).do_request(request)
    answer = json.loads(body)
    # This SDK raises nothing: an error is an answer with a code.
    if "Code" in answer:
        raise conversation.Refused(answer["Code"], answer["Message"])
    return answer


if __name__ == "__main__":
    conversation.converse(play)
