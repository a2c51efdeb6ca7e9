// Plays calls through @alicloud/ecs20140526 and @alicloud/vpc20160428: their typed requests and
// answers, signed with ACS3-HMAC-SHA256.
'use strict';

const { cast } = require('@darabonba/typescript');
const { Config } = require('@alicloud/openapi-core').$OpenApiUtil;
const products = {
  Ecs: require('@alicloud/ecs20140526'),
  Vpc: require('@alicloud/vpc20160428'),
};
const { converse } = require('./conversation');

const url = new URL(process.env.CONFORMANCE_ENDPOINT);

async function play({ product, action, parameters, key, secret, token }) {
  const models = products[product];
  const client = new models.default(new Config({
    accessKeyId: key,
    accessKeySecret: secret,
    securityToken: token || undefined,
    endpoint: url.host,
    protocol: url.protocol.slice(0, -1),
  }));
  const request = cast(parameters, new models[`${action}Request`]({}));
  const kept = Object.keys(request.toMap());
  const lost = Object.keys(parameters).filter((name) => !kept.includes(name));
  if (lost.length) throw new Error(`the model has no ${lost}`);
  const method = action[0].toLowerCase() + action.slice(1);
  return (await client[method](request)).body.toMap();
}

function refusal(error) {
  return error.statusCode && { code: error.code, message: error.message, status: error.statusCode };
}

converse(play, refusal);
