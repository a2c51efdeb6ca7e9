// The other end of `./x conformance`: one call a line comes in, one outcome a line goes out. It
// knows neither SDKs nor actions; a driver hands it a function that plays one call.
'use strict';

const readline = require('readline');

const VERSIONS = { Ecs: '2014-05-26', Vpc: '2016-04-28', Sts: '2015-04-01' };

// `play(call)` returns the answer, or throws; `refusal(error)` is what the SDK made of an error of
// the server's, or null.
async function converse(play, refusal) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let outcome;
    try {
      outcome = { answer: await play(JSON.parse(line)) };
    } catch (error) {
      outcome = refusal(error) || { broken: String(error.stack || error) };
    }
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  }
}

// The nested parameters as `Name.1.Key`, for clients that leave this to the caller.
function flat(parameters, prefix = '') {
  return Object.assign({}, ...Object.entries(parameters).map(([name, value]) => {
    const place = prefix + (Array.isArray(parameters) ? Number(name) + 1 : name);
    return value !== null && typeof value === 'object'
      ? flat(value, `${place}.`) : { [place]: String(value) };
  }));
}

module.exports = { converse, flat, VERSIONS };
