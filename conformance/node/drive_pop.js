// Plays calls through @alicloud/pop-core: everything in the query of a GET (`GET`) or in the form
// body of a POST (`POST`).
'use strict';

const Core = require('@alicloud/pop-core');
const { converse, VERSIONS } = require('./conversation');

const method = process.argv[2];

// It flattens lists; structures it leaves to the caller.
function flat(parameters) {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => (
    typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).map(([key, inner]) => [`${name}.${key}`, inner])
      : [[name, value]]));
  return Object.fromEntries(pairs);
}

function play({ product, action, parameters, key, secret, token }) {
  const client = new Core({
    accessKeyId: key,
    accessKeySecret: secret,
    securityToken: token,
    endpoint: process.env.CONFORMANCE_ENDPOINT,
    apiVersion: VERSIONS[product],
  });
  return client.request(action, flat(parameters), { method });
}

function refusal(error) {
  const status = error.entry && error.entry.response.statusCode;
  return error.data && { code: error.code, message: error.data.Message, status };
}

converse(play, refusal);
