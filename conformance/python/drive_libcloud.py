"""Plays calls through apache-libcloud's driver ALIYUN_ECS: its signed connection, which speaks XML
only. The answer is handed on as its elements, all of them text."""

import ast
import functools

from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

import conversation

ENDPOINT = conversation.endpoint()


@functools.lru_cache
def connection(key, secret, version):
    make = get_driver(Provider.ALIYUN_ECS)
    driver = make(
        key,
        secret,
        region=conversation.REGION,
        secure=ENDPOINT.scheme == "https",
        host=ENDPOINT.host,
        port=ENDPOINT.port,
    )
    driver.connection.signer.version = version
    return driver.connection


def shape(element):
    """An element as text, or as an object; names that come twice are a list."""
    if len(element) == 0:
        return element.text or ""
    found = {}
    for child in element:
        found.setdefault(child.tag, []).append(shape(child))
    return {name: many if len(many) > 1 else many[0] for name, many in found.items()}


def play(call):
    version = conversation.VERSIONS[call.product]
    key, secret, token = call.credential
    parameters = {"Action": call.action, **conversation.flat(call.parameters)}
    if token:
        # It has no temporary keys of its own; whoever has one passes the token along.
        parameters["SecurityToken"] = token
    try:
        answer = connection(key, secret, version).request("/", parameters)
    except BaseHTTPError as error:
        told = ast.literal_eval(error.message)
        raise conversation.Refused(told["code"], told["message"], error.code) from error
    return shape(answer.object)


if __name__ == "__main__":
    conversation.converse(play)
