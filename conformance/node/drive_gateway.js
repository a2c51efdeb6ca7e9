// Plays calls through aliyun-api-gateway, the API gateway's SDK, which signs with X-Ca: parameters in
// a form body at the gateway's route (`form`), or in the query of a GET (`query`). Of a refusal it
// tells the status and the gateway's message, and no code.
'use strict';

const { Client } = require('aliyun-api-gateway');
const { converse, flat } = require('./conversation');

const form = process.argv[2] === 'form';

function play({ product, action, parameters, key, secret, token }) {
  const client = new Client(key, secret);
  const data = flat(parameters);
  // The scheme has no place for it but the parameters.
  if (token) data.SecurityToken = token;
  const url = `${process.env.CONFORMANCE_ENDPOINT}/apsara/route/${product}/${action}`;
  if (!form) return client.get(url, { data });
  const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' };
  return client.post(url, { data, headers });
}

function refusal(error) {
  const message = error.data && error.data.headers['x-ca-error-message'];
  return error.code && { code: null, message, status: error.code };
}

converse(play, refusal);
