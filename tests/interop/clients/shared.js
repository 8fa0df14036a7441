// What the suites of several clients ask for alike.
'use strict';
const assert = require('node:assert/strict');

const UNLOCK = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end';
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

function noCommand(name, ...words) {
  return `ERR unknown command '${name}', with args beginning with: ${words.map((word) => `'${word}' `).join('')}`;
}

// [the words behind SET key, what is answered, the ms that are left then]; in this order on one key.
function SETS() {
  const now = Date.now();
  return [
    [['a'], 'OK', -1],
    [['b', 'EX', 100], 'OK', 100000],
    [['c', 'KEEPTTL'], 'OK', 100000],
    [['d', 'PX', 50000, 'NX'], null, 100000],
    [['d', 'PX', 50000, 'XX'], 'OK', 50000],
    [['e', 'EXAT', Math.floor(now / 1000) + 200], 'OK', 201000],
    [['f', 'PXAT', now + 300000], 'OK', 300100],
    [['g', 'GET'], 'f', -1],
    [['h', 'EX', 60, 'GET'], 'g', 60000],
    [['i', 'XX', 'KEEPTTL', 'GET'], 'h', 60000],
    [['j', 'NX', 'GET'], 'i', 60000],
    [['k', 'PXAT', 1], 'OK', -2],
    [['l', 'NX'], 'OK', -1],
  ];
}

// [the words of a command, its error]; t.key('text') holds a text, t.key('hash') a hash.
function SERVER_ERRORS(t) {
  const [text, hash] = [t.key('text'), t.key('hash')];
  return [
    [['HGET', text, 'f'], WRONG_TYPE],
    [['GET', hash], WRONG_TYPE],
    [['NOSUCH', 'a', 'b'], noCommand('NOSUCH', 'a', 'b')],
    [['GET'], "ERR wrong number of arguments for 'get' command"],
    [['SET', text], "ERR wrong number of arguments for 'set' command"],
    [['SET', text, 'v', 'EX'], 'ERR syntax error'],
    [['SET', text, 'v', 'NX', 'XX'], 'ERR syntax error'],
    [['SET', text, 'v', 'EX', 'x'], 'ERR value is not an integer or out of range'],
    [['SET', text, 'v', 'EX', '0'], "ERR invalid expire time in 'set' command"],
    [['SETEX', text, '-1', 'v'], "ERR invalid expire time in 'setex' command"],
    [['GETEX', text, 'EX', '0'], "ERR invalid expire time in 'getex' command"],
    [['EXPIRE', text, 'x'], 'ERR value is not an integer or out of range'],
    [['EXPIRE', text, '10', 'NX', 'XX'], 'ERR NX and XX, GT or LT options at the same time are not compatible'],
    [['HINCRBY', hash, 'f', '1'], 'ERR hash value is not an integer'],
    [['HSET', hash, 'f'], "ERR wrong number of arguments for 'hset' command"],
    [['SCAN', 'x'], 'ERR invalid cursor'],
    [['SELECT', 'x'], 'ERR value is not an integer or out of range'],
    [['CLIENT', 'NOSUCH'], "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."],
    [['EVALSHA', 'a'.repeat(40), '1', text], 'NOSCRIPT No matching script. Please use EVAL.'],
    [['DISCARD'], 'ERR DISCARD without MULTI'],
    [['AUTH', 'nobody'], 'ERR AUTH <password> called without any password configured for the default user. '
      + 'Are you sure your configuration is correct?'],
  ];
}

// The promise must be refused, with that message or one that fits.
function fails(promise, message) {
  return assert.rejects(promise, (error) => {
    if (message instanceof RegExp) assert.match(error.message, message);
    else assert.equal(error.message, message);
    return true;
  });
}

// left: of an expiry that was set a moment ago to ttl, both in ms; negative: what PTTL says of none.
function lasts(left, ttl, what) {
  if (ttl < 0) assert.equal(left, ttl, what);
  else assert.ok(left > ttl - 5000 && left <= ttl, `${what}: ${left} ms left`);
}

// A case that all clients spell alike.
async function TEXTS(t) {
  const r = await t.client();
  for (const text of ['v', '', 'ключ', 'a\r\nb\0c', '{"cookie":{"maxAge":null}}']) {
    assert.equal(await r.set(t.key(), text), 'OK');
    assert.equal(await r.get(t.key()), text);
  }
  assert.equal(await r.del(t.key()), 1);
  assert.equal(await r.get(t.key()), null);
}

// Waits for an event; an error is no end of that, as it is for once() of node:events.
function event(emitter, name) {
  return new Promise((resolve) => { emitter.once(name, resolve); });
}

module.exports = { event, fails, lasts, UNLOCK, SETS, SERVER_ERRORS, TEXTS, noCommand };
