// What is asked of a store through ioredis: its own ways (pipelines, auto-pipelining, the offline
// queue, scripts by hash, reconnection) and what session stores send through it.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { event, fails, lasts, SERVER_ERRORS, UNLOCK, SETS, TEXTS, noCommand } = require('./shared.js');

function open({ Redis }, where, options) {
  const client = new Redis({ ...where, retryStrategy: () => 20, ...options });
  client.on('error', () => {}); // a case looks at what its commands are answered
  return client;
}

async function ready(client) {
  if (client.status !== 'ready') await event(client, 'ready');
}

function close(client) {
  client.disconnect();
}

const connection = {
  'is ready behind its handshake': async (t) => {
    const r = await t.client();
    assert.equal(r.status, 'ready');
    for (const line of ['loading:0', 'role:master', 'redis_mode:standalone']) {
      assert.ok((await r.info()).split('\r\n').includes(line), line);
    }
    assert.equal(await r.ping(), 'PONG');
    assert.equal(await r.echo('hello'), 'hello');
  },
  'has a name and a number': async (t) => {
    const r = await t.client(0, { connectionName: 'web-1' });
    assert.equal(await r.client('GETNAME'), 'web-1');
    const one = await r.client('ID');
    const two = await (await t.client()).client('ID');
    assert.ok(Number.isInteger(one) && two > one);
  },
  'speaks RESP3 where it can': async (t) => {
    if (t.major < 6) t.skip('it came with ioredis 6');
    const r = await t.client(0, { protocol: 3, replyMapping: 'resp3' });
    await r.hset(t.key(), { user: 'alice', n: '1' });
    assert.deepEqual({ ...(await r.call('HGETALL', t.key())) }, { user: 'alice', n: '1' });
    assert.equal(await r.get(t.key('none')), null);
    assert.deepEqual(await r.mget(t.key('none'), t.key('none')), [null, null]);
    assert.match(await r.info(), /redis_version:/);
  },
  'speaks RESP2 when told': async (t) => {
    const r = await t.client(0, { protocol: 2 });
    await r.hset(t.key(), { user: 'alice' });
    assert.deepEqual(await r.call('HGETALL', t.key()), ['user', 'alice']);
    assert.deepEqual(await r.hgetall(t.key()), { user: 'alice' });
    assert.equal(await r.get(t.key('none')), null);
  },
  'chooses a database': async (t) => {
    const r = await t.client(0, { db: 3 });
    assert.equal(await r.set(t.key(), 'v'), 'OK');
    assert.equal(await r.get(t.key()), 'v');
    assert.equal(await r.select(4), 'OK');
    await fails(r.select(99), 'ERR DB index is out of range');
    assert.equal(await r.ping(), 'PONG');
  },
  'goes by unix socket and password': async (t) => {
    const { path, password } = t.guarded;
    for (const who of [{ password }, { username: 'default', password }]) {
      const r = await t.client({ path }, who);
      assert.equal(await r.set(t.key(), 'v', 'EX', 100), 'OK');
      assert.equal(await r.get(t.key()), 'v');
    }
  },
  'is refused without the password': async (t) => {
    const r = t.made({ path: t.guarded.path }, { enableReadyCheck: false, protocol: 2 });
    await fails(r.get('k'), 'NOAUTH Authentication required.');
    await fails(r.auth('wrong'), 'WRONGPASS invalid username-password pair or user is disabled.');
    await fails(r.auth('nobody', t.guarded.password), 'WRONGPASS invalid username-password pair or user is disabled.');
    assert.equal(await r.auth(t.guarded.password), 'OK');
    assert.equal(await r.get(t.key()), null);
  },
  'a wrong password is an error, and no hang': async (t) => {
    const r = t.made({ path: t.guarded.path }, { password: 'wrong', lazyConnect: true, retryStrategy: null });
    r.connect().catch(() => {});
    const error = await event(r, 'error');
    assert.match(error.message, /^(WRONGPASS|NOAUTH)/);
  },
  'quits': async (t) => {
    const r = await t.client(0, { retryStrategy: null });
    const end = event(r, 'end');
    assert.equal(await r.quit(), 'OK');
    await end;
    await fails(r.get('k'), 'Connection is closed.');
  },
  'is doubled': async (t) => {
    const r = await t.client(0, { keyPrefix: t.key() });
    const other = r.duplicate();
    t.opened.push(other);
    await r.set('k', 'v');
    assert.equal(await other.get('k'), 'v');
    assert.equal(await (await t.client()).get(t.key('k')), 'v');
  },
};

const values = {
  'text, empty text and what is not there': TEXTS,
  'bytes, in keys too': async (t) => {
    const r = await t.client();
    const bytes = crypto.randomBytes(70000);
    const key = Buffer.concat([Buffer.from(t.key()), Buffer.from([0, 13, 10, 255])]);
    await r.set(key, bytes);
    assert.deepEqual(await r.getBuffer(key), bytes);
    assert.equal(await r.exists(key), 1);
    assert.deepEqual(await r.callBuffer('GETDEL', key), bytes);
    assert.equal(await r.exists(key), 0);
  },
  '5 MB, also at another server': async (t) => {
    const [one, two] = [await t.client(0), await t.client(1)];
    const bytes = crypto.randomBytes(5000000);
    assert.equal(await one.set(t.key(), bytes, 'EX', 100), 'OK');
    assert.deepEqual(await one.getBuffer(t.key()), bytes);
    assert.deepEqual(await two.getBuffer(t.key()), bytes);
    assert.equal(await two.del(t.key()), 1);
    assert.equal(await one.get(t.key()), null);
  },
  'the forms of SET': async (t) => {
    const r = await t.client();
    for (const [words, answer, ttl] of SETS()) {
      assert.equal(await r.set(t.key(), ...words), answer, `SET ${words}`);
      lasts(await r.pttl(t.key()), ttl, `SET ${words}`);
    }
  },
  'SETEX, PSETEX, SETNX, GETEX, GETDEL': async (t) => {
    const r = await t.client();
    assert.equal(await r.setex(t.key(), 100, 'v'), 'OK');
    assert.equal(await r.ttl(t.key()), 100);
    assert.equal(await r.psetex(t.key(), 5000, 'w'), 'OK');
    assert.equal(await r.setnx(t.key(), 'x'), 0);
    assert.equal(await r.getex(t.key(), 'EX', 200), 'w');
    assert.equal(await r.ttl(t.key()), 200);
    assert.equal(await r.getex(t.key(), 'PERSIST'), 'w');
    assert.equal(await r.ttl(t.key()), -1);
    assert.equal(await r.getdel(t.key()), 'w');
    assert.equal(await r.getdel(t.key()), null);
    assert.equal(await r.ttl(t.key()), -2);
  },
  'many keys at once': async (t) => {
    const r = await t.client();
    const names = [...Array(300).keys()].map((n) => t.key(n));
    await Promise.all(names.map((name, n) => r.set(name, `v${n}`)));
    assert.deepEqual(await r.mget(...names, t.key('none')), [...names.map((_, n) => `v${n}`), null]);
    assert.equal(await r.exists(...names), 300);
    assert.equal(await r.touch(names[0], t.key('none')), 1);
    assert.equal(await r.unlink(names[0], names[1], t.key('none')), 2);
    assert.equal(await r.del(names), 298);
    assert.equal(await r.exists(...names), 0);
  },
  'expiry': async (t) => {
    const r = await t.client();
    assert.equal(await r.expire(t.key(), 10), 0);
    await r.set(t.key(), 'v');
    assert.equal(await r.expire(t.key(), 100), 1);
    assert.equal(await r.expire(t.key(), 50, 'GT'), 0);
    assert.equal(await r.pexpire(t.key(), 90000, 'LT'), 1);
    assert.equal(await r.expireat(t.key(), Math.floor(Date.now() / 1000) + 500), 1);
    assert.ok((await r.ttl(t.key())) > 490);
    assert.equal(await r.persist(t.key()), 1);
    assert.equal(await r.ttl(t.key()), -1);
    await r.set(t.key(), 'v', 'PX', 30);
    await t.poll(async () => (await r.get(t.key())) === null, 'it is over');
    assert.equal(await r.exists(t.key()), 0);
  },
  'hashes': async (t) => {
    const r = await t.client();
    assert.deepEqual(await r.hgetall(t.key()), {});
    assert.equal(await r.hset(t.key(), { a: '1', b: '2' }), 2);
    assert.equal(await r.hset(t.key(), new Map([['a', 'one'], ['c', '']])), 1);
    assert.equal(await r.hmset(t.key(), 'd', '4', 'e', '5'), 'OK');
    assert.deepEqual(await r.hgetall(t.key()), { a: 'one', b: '2', c: '', d: '4', e: '5' });
    assert.deepEqual(await r.hmget(t.key(), 'a', 'none', 'c'), ['one', null, '']);
    assert.equal(await r.hget(t.key(), 'none'), null);
    assert.equal(await r.hincrby(t.key(), 'b', 40), 42);
    assert.equal(await r.hsetnx(t.key(), 'a', 'x'), 0);
    assert.equal(await r.hexists(t.key(), 'a'), 1);
    assert.equal(await r.hlen(t.key()), 5);
    assert.deepEqual((await r.hkeys(t.key())).sort(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual((await r.hvals(t.key())).sort(), ['', '4', '42', '5', 'one']);
    assert.equal(await r.hdel(t.key(), 'a', 'b', 'none'), 2);
    assert.equal(await r.type(t.key()), 'hash');
    await r.rename(t.key(), t.key('new'));
    assert.equal(await r.hlen(t.key('new')), 3);
    await fails(r.rename(t.key(), t.key('new')), 'ERR no such key');
  },
  'a hash of bytes and of 1,000 fields': async (t) => {
    const r = await t.client();
    const bytes = crypto.randomBytes(3000);
    await r.hset(t.key(), 'raw', bytes);
    assert.deepEqual(await r.hgetBuffer(t.key(), 'raw'), bytes);
    assert.deepEqual((await r.hgetallBuffer(t.key())).raw, bytes);
    const fields = Object.fromEntries([...Array(500).keys()].map((n) => [`field${n}`, 'v'.repeat(n % 50)]));
    assert.equal(await r.hset(t.key('many'), fields), 500);
    const more = Object.fromEntries([...Array(500).keys()].map((n) => [`more${n}`, `${n}`]));
    assert.equal(await r.hset(t.key('many'), more), 500);
    assert.deepEqual(await r.hgetall(t.key('many')), { ...fields, ...more });
  },
  'errors, to the letter': async (t) => {
    const r = await t.client();
    await r.set(t.key('text'), 'v');
    await r.hset(t.key('hash'), 'f', 'v');
    for (const [words, message] of SERVER_ERRORS(t)) {
      await fails(r.call(...words), message);
    }
    assert.equal(await r.get(t.key('text')), 'v');
  },
};

const streams = {
  'a pipeline with an error in it': async (t) => {
    const r = await t.client();
    const got = await r.pipeline().set(t.key(), 'v', 'EX', 100).get(t.key()).hget(t.key(), 'f').ttl(t.key())
      .call('NOSUCH', 'a').del(t.key()).exec();
    assert.deepEqual([got[0], got[1], got[3], got[5]], [[null, 'OK'], [null, 'v'], [null, 100], [null, 1]]);
    assert.equal(got[2][0].message, 'WRONGTYPE Operation against a key holding the wrong kind of value');
    assert.equal(got[4][0].message, noCommand('NOSUCH', 'a'));
  },
  '10,000 commands in one pipeline, in order': async (t) => {
    const r = await t.client();
    const pipe = r.pipeline();
    for (let n = 0; n < 5000; n += 1) pipe.set(t.key(n % 100), `v${n}`, 'EX', 100).get(t.key(n % 100));
    const got = await pipe.exec();
    assert.equal(got.length, 10000);
    for (let n = 0; n < 5000; n += 1) {
      assert.deepEqual(got[2 * n], [null, 'OK']);
      assert.deepEqual(got[2 * n + 1], [null, `v${n}`]);
    }
  },
  'auto-pipelining of what comes in one turn': async (t) => {
    const r = await t.client(0, { enableAutoPipelining: true });
    const names = [...Array(1000).keys()];
    await Promise.all(names.map((n) => r.set(t.key(n), `v${n}`, 'EX', 100)));
    const got = await Promise.all(names.map((n) => r.get(t.key(n))));
    assert.deepEqual(got, names.map((n) => `v${n}`));
    const mixed = await Promise.allSettled([r.get(t.key(1)), r.hget(t.key(1), 'f'), r.get(t.key(2))]);
    assert.deepEqual(mixed.map((each) => each.status), ['fulfilled', 'rejected', 'fulfilled']);
  },
  '50 clients at once': async (t) => {
    const clients = await Promise.all([...Array(50).keys()].map((n) => t.client(n)));
    await Promise.all(clients.map(async (r, n) => {
      for (let turn = 0; turn < 20; turn += 1) {
        await r.set(t.key(n), `${n}.${turn}`, 'EX', 100);
        assert.equal(await r.get(t.key(n)), `${n}.${turn}`);
      }
    }));
  },
  'MULTI and EXEC': async (t) => {
    const r = await t.client();
    const got = await r.multi().set(t.key(), 'v').expire(t.key(), 100).get(t.key()).hget(t.key(), 'f').exec();
    assert.deepEqual(got.slice(0, 3), [[null, 'OK'], [null, 1], [null, 'v']]);
    assert.equal(got[3][0].message, 'WRONGTYPE Operation against a key holding the wrong kind of value');
  },
  'MULTI without a pipeline, DISCARD': async (t) => {
    const r = await t.client();
    assert.equal(await r.multi({ pipeline: false }), 'OK');
    assert.equal(await r.set(t.key(), 'v'), 'QUEUED');
    assert.deepEqual(await r.exec(), [[null, 'OK']]);
    await r.multi({ pipeline: false });
    await r.set(t.key(), 'w');
    assert.equal(await r.discard(), 'OK');
    assert.equal(await r.get(t.key()), 'v');
    await fails(r.call('EXEC'), 'ERR EXEC without MULTI');
  },
  'a transaction with a mistake does nothing': async (t) => {
    const r = await t.client();
    await fails(r.multi().set(t.key(), 'v').call('NOSUCH').exec(), 'EXECABORT Transaction discarded because of previous errors.');
    assert.equal(await r.get(t.key()), null);
  },
  'WATCH sees another client': async (t) => {
    const [one, two] = [await t.client(0), await t.client(0)];
    await one.set(t.key(), '1');
    await one.watch(t.key());
    await two.set(t.key(), '2');
    assert.equal(await one.multi().set(t.key(), '3').exec(), null);
    assert.equal(await one.get(t.key()), '2');
    await one.watch(t.key());
    assert.deepEqual(await one.multi().set(t.key(), '3').exec(), [[null, 'OK']]);
  },
  'scanStream finds every key once': async (t) => {
    const r = await t.client();
    const names = [...Array(250).keys()].map((n) => t.key(n)).sort();
    await Promise.all(names.map((name) => r.set(name, 'v', 'EX', 100)));
    const found = [];
    for await (const some of r.scanStream({ match: `${t.key()}*`, count: 40 })) found.push(...some);
    assert.deepEqual([...new Set(found)].sort(), names);
    assert.deepEqual((await r.keys(`${t.key()}1?`)).length, 10);
  },
};

const scripts = {
  'a command by script, whose hash is tried first': async (t) => {
    const r = await t.client(0, { scripts: { unlock: { numberOfKeys: 1, lua: UNLOCK } } });
    await r.set(t.key(), 'me', 'PX', 30000, 'NX');
    assert.equal(await r.unlock(t.key(), 'other'), 0);
    assert.equal(await r.get(t.key()), 'me');
    assert.equal(await r.unlock(t.key(), 'me'), 1);
    assert.equal(await r.exists(t.key()), 0);
  },
  'the same in a pipeline, written another way': async (t) => {
    const r = await t.client();
    r.defineCommand('release', {
      numberOfKeys: 1,
      lua: "\n  if redis.call('get', KEYS[1]) == ARGV[1] then\n    return redis.call('del', KEYS[1])\n  else\n    return 0\n  end\n",
    });
    const got = await r.pipeline().set(t.key(), 'me').release(t.key(), 'me').release(t.key(), 'me').exec();
    assert.deepEqual(got, [[null, 'OK'], [null, 1], [null, 0]]);
  },
  'SCRIPT LOAD and EXISTS, NOSCRIPT': async (t) => {
    const r = await t.client();
    const hash = await r.script('LOAD', UNLOCK);
    assert.equal(hash, crypto.createHash('sha1').update(UNLOCK).digest('hex'));
    assert.deepEqual(await r.script('EXISTS', hash, 'f'.repeat(40)), [1, 0]);
    await fails(r.evalsha('f'.repeat(40), 1, t.key(), 'x'), 'NOSCRIPT No matching script. Please use EVAL.');
  },
  'what no session store sends is refused, and the connection goes on': async (t) => {
    if (!t.agent) t.skip('redis-server knows all of it');
    const r = await t.client();
    await fails(r.eval("return redis.call('incr', KEYS[1])", 1, t.key()), /^ERR .*script/);
    await fails(r.lpush(t.key(), 'a'), noCommand('lpush', t.key(), 'a'));
    await fails(r.subscribe('news'), noCommand('subscribe', 'news'));
    await fails(r.psubscribe('news*'), noCommand('psubscribe', 'news*'));
    await fails(r.publish('news', 'x'), noCommand('publish', 'news', 'x'));
    await fails(r.flushall(), /^ERR 'flushall' is switched off here/);
    assert.equal(r.mode, 'normal');
    assert.equal(await r.set(t.key(), 'v'), 'OK');
    assert.equal(await r.get(t.key()), 'v');
  },
};

const several = {
  'a session of Express that was ended is not written again': async (t) => {
    const [r, other] = [await t.client(0), await t.client(1)];
    const key = `sess:${t.key()}`;
    assert.equal(await r.set(key, 'v', 'EX', 100), 'OK');
    assert.equal(await other.get(key), 'v');
    assert.equal(await other.del(key), 1);
    assert.equal(await r.set(key, 'v', 'EX', 100), 'OK');
    for (const client of [r, other]) assert.equal(await client.get(key), t.agent ? null : 'v');
  },
  'SET here, GET there': async (t) => {
    const clients = [await t.client(0), await t.client(1)];
    await Promise.all([...Array(200).keys()].map(async (n) => {
      const [here, there] = n % 2 ? clients : [clients[1], clients[0]];
      await here.set(t.key(n), `v${n}`, 'EX', 100);
      assert.equal(await there.get(t.key(n)), `v${n}`);
      assert.equal(await there.expire(t.key(n), 500), 1);
      await there.set(t.key(n), `w${n}`, 'EX', 500);
      assert.equal(await here.get(t.key(n)), `w${n}`);
      assert.ok((await here.ttl(t.key(n))) > 490);
      assert.equal(await here.del(t.key(n)), 1);
      assert.equal(await there.get(t.key(n)), null);
    }));
  },
  'MGET, hashes and pipelines of what lies elsewhere': async (t) => {
    const [here, there] = [await t.client(0), await t.client(1)];
    const names = [...Array(100).keys()];
    await here.pipeline(names.map((n) => ['set', t.key(n), `v${n}`, 'EX', 100])).exec();
    assert.deepEqual(await there.mget(names.map((n) => t.key(n))), names.map((n) => `v${n}`));
    await there.hset(t.key('hash'), { user: 'alice' });
    assert.deepEqual(await here.hgetall(t.key('hash')), { user: 'alice' });
    const got = await here.pipeline(names.map((n) => ['getdel', t.key(n)])).exec();
    assert.deepEqual(got, names.map((n) => [null, `v${n}`]));
    assert.equal(await there.exists(names.map((n) => t.key(n))), 0);
  },
  'a lock is taken once': async (t) => {
    const clients = await Promise.all([...Array(9).keys()].map((n) => t.client(n)));
    for (let round = 0; round < 10; round += 1) {
      const got = await Promise.all(clients.map((r, n) => r.set(t.key(round), `${n}`, 'PX', 30000, 'NX')));
      assert.equal(got.filter((each) => each === 'OK').length, 1);
      const owner = `${got.indexOf('OK')}`;
      const freed = await Promise.all(clients.map((r, n) => r.eval(UNLOCK, 1, t.key(round), `${n}`)));
      assert.deepEqual(freed, got.map((_, n) => Number(`${n}` === owner)));
    }
  },
  'commands wait for the connection': async (t) => {
    const r = t.made(0, { lazyConnect: true });
    const set = r.set(t.key(), 'v');
    const get = r.get(t.key());
    assert.deepEqual([await set, await get], ['OK', 'v']);
    const impatient = t.made(0, { enableOfflineQueue: false });
    await fails(impatient.get('k'), "Stream isn't writeable and enableOfflineQueue options is false");
  },
  'finds a server that was killed and started again': async (t) => {
    const [r, other] = [await t.client(0, { maxRetriesPerRequest: null }), await t.client(1)];
    await r.set(t.key(), 'v', 'EX', 100);
    const away = event(r, 'close');
    await t.order('kill', 0);
    await away;
    const late = r.get(t.key());
    if (t.kind === 'agents') assert.equal(await other.get(t.key()), 'v');
    await t.order('start', 0);
    assert.equal(await late, t.kind === 'agents' ? 'v' : null);
    assert.equal(r.status, 'ready');
    await r.set(t.key('new'), 'w');
    assert.equal(await r.get(t.key('new')), 'w');
  },
  'what is under way when a server dies is answered, or an error': async (t) => {
    const r = await t.client(0, { maxRetriesPerRequest: 1 });
    const writes = [...Array(500).keys()].map((n) => r.set(t.key(n), `v${n}`, 'EX', 100));
    const killed = t.order('kill', 0);
    const got = await Promise.allSettled(writes);
    await killed;
    await fails(r.get(t.key()), /^Reached the max retries per request limit/);
    await t.order('start', 0);
    await ready(r);
    for (const each of got) assert.ok(each.value === 'OK' || /max retries/.test(each.reason.message));
    if (t.kind !== 'agents') return;
    const kept = await r.mget(got.map((_, n) => t.key(n)));
    got.forEach((each, n) => assert.ok(each.status === 'rejected' || kept[n] === `v${n}`, `${n}: ${kept[n]}`));
  },
};

module.exports = { open, ready, close, cases: { ...connection, ...values, ...streams, ...scripts, ...several } };
