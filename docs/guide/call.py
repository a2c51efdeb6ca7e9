#!/usr/bin/env python3
"""Signs one API call (RPC, signature 1.0) and prints the answer; needs nothing but Python.

usage: call.py [--apsara] [--pick NAME] ACTION [NAME=VALUE ...]

Reads PORTCULLIS_ENDPOINT, PORTCULLIS_ACCESS_KEY_ID and PORTCULLIS_ACCESS_KEY_SECRET. With --apsara
the call goes to /apsara/route/Ecs/ACTION, else to / as the public service has it. --pick prints one
field of the answer instead of all of it. Ends with status 1 when the answer is an error.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid


def escape(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(method, parameters, secret):
    pairs = sorted(parameters.items())
    query = "&".join(f"{escape(name)}={escape(value)}" for name, value in pairs)
    text = f"{method}&%2F&{escape(query)}"
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--apsara", action="store_true")
    parser.add_argument("--pick")
    parser.add_argument("action")
    parser.add_argument("pairs", nargs="*")
    wanted = parser.parse_args()
    vpc = "Vpc" in wanted.action or "VSwitch" in wanted.action
    now = datetime.datetime.now(datetime.timezone.utc)
    parameters = {
        "Action": wanted.action,
        "Version": "2016-04-28" if vpc else "2014-05-26",
        "Format": "JSON",
        "AccessKeyId": os.environ["PORTCULLIS_ACCESS_KEY_ID"],
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    parameters.update(pair.split("=", 1) for pair in wanted.pairs)
    secret = os.environ["PORTCULLIS_ACCESS_KEY_SECRET"]
    parameters["Signature"] = signature("POST", parameters, secret)
    route = f"/apsara/route/{'Vpc' if vpc else 'Ecs'}/{wanted.action}"
    url = os.environ["PORTCULLIS_ENDPOINT"] + (route if wanted.apsara else "/")
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(url, body) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        print(error.read().decode())
        return 1
    print(json.loads(text)[wanted.pick] if wanted.pick else text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
