// What is asked of a store through node-redis: its own ways (RESP2 and RESP3, everything of one turn in
// one write, transactions that throw, scripts by hash, reconnection) and what session stores send.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { event, fails, lasts, SERVER_ERRORS, UNLOCK, SETS, TEXTS, noCommand } = require('./shared.js');

function open({ createClient }, where, { socket, ...options }) {
  const client = createClient({ socket: { ...where, reconnectStrategy: 20, ...socket }, ...options });
  client.on('error', () => {}); // a case looks at what its commands are answered
  client.connect().catch(() => {}); // and so for this
  return client;
}

async function ready(client) {
  if (!client.isReady) await event(client, 'ready');
}

function close(client) {
  if (client.isOpen) client.destroy();
}

function numbers(count) {
  return [...Array(count).keys()];
}

const connection = {
  'is ready behind its handshake': async (t) => {
    const r = await t.client();
    assert.equal(await r.ping(), 'PONG');
    assert.equal(await r.echo('hello'), 'hello');
    assert.match(await r.info(), /redis_version:\d+\.\d+\.\d+\r\n/);
  },
  'has a name and a number': async (t) => {
    const r = await t.client(0, { name: 'web-1' });
    assert.equal(await r.clientGetName(), 'web-1');
    const one = await r.clientId();
    const two = await (await t.client()).clientId();
    assert.ok(Number.isInteger(one) && two > one);
  },
  'speaks RESP3': async (t) => {
    const r = await t.client(0, { RESP: 3 });
    await r.hSet(t.key(), { user: 'alice', n: '1' });
    assert.deepEqual({ ...(await r.sendCommand(['HGETALL', t.key()])) }, { user: 'alice', n: '1' });
    assert.deepEqual({ ...(await r.hGetAll(t.key())) }, { user: 'alice', n: '1' });
    assert.equal(await r.get(t.key('none')), null);
    assert.deepEqual(await r.mGet([t.key('none'), t.key()]), [null, null]);
    assert.match(await r.info('server'), /redis_version:/);
    const told = await r.hello(3);
    assert.deepEqual([told.server, told.proto, told.mode, told.role], ['redis', 3, 'standalone', 'master']);
  },
  'speaks RESP2': async (t) => {
    const r = await t.client(0, { RESP: 2 });
    await r.hSet(t.key(), { user: 'alice' });
    assert.deepEqual(await r.sendCommand(['HGETALL', t.key()]), ['user', 'alice']);
    assert.deepEqual({ ...(await r.hGetAll(t.key())) }, { user: 'alice' });
    assert.equal(await r.get(t.key('none')), null);
  },
  'goes from one protocol to the other and back': async (t) => {
    const r = await t.client(0, { RESP: 2 });
    await r.set(t.key(), 'v');
    assert.equal({ ...(await r.sendCommand(['HELLO', '3'])) }.proto, 3);
    assert.equal(await r.get(t.key('none')), null);
    assert.equal(await r.get(t.key()), 'v');
    await r.sendCommand(['HELLO', '2']);
    assert.equal(await r.get(t.key('none')), null);
    await fails(r.sendCommand(['HELLO', '9']), 'NOPROTO unsupported protocol version');
    assert.equal(await r.get(t.key()), 'v');
  },
  'chooses a database': async (t) => {
    const r = await t.client(0, { database: 3 });
    assert.equal(await r.set(t.key(), 'v'), 'OK');
    assert.equal(await r.get(t.key()), 'v');
    await r.select(4);
    await fails(r.select(99), 'ERR DB index is out of range');
    assert.equal(await r.ping(), 'PONG');
  },
  'goes by unix socket and password': async (t) => {
    const { path, password } = t.guarded;
    for (const RESP of [2, 3]) {
      for (const who of [{ password }, { username: 'default', password }]) {
        const r = await t.client({ path }, { RESP, ...who });
        assert.equal(await r.set(t.key(), 'v', { EX: 100 }), 'OK');
        assert.equal(await r.get(t.key()), 'v');
      }
    }
  },
  'is refused without the password': async (t) => {
    if (t.major < 6) t.skip('node-redis 5 is never ready when its CLIENT SETINFO is refused so');
    const r = await t.client({ path: t.guarded.path }, { RESP: 2 });
    const wrong = 'WRONGPASS invalid username-password pair or user is disabled.';
    await fails(r.get('k'), 'NOAUTH Authentication required.');
    await fails(r.auth({ password: 'wrong' }), wrong);
    await fails(r.auth({ username: 'nobody', password: t.guarded.password }), wrong);
    assert.equal(await r.auth({ password: t.guarded.password }), 'OK');
    assert.equal(await r.get(t.key()), null);
  },
  'a wrong password is an error, and no hang': async (t) => {
    const client = t.library.createClient({ socket: { path: t.guarded.path, reconnectStrategy: false }, password: 'wrong' });
    client.on('error', () => {});
    t.opened.push(client);
    await fails(client.connect(), /^WRONGPASS/);
  },
  'closes when everything is answered': async (t) => {
    const r = await t.client();
    const got = numbers(100).map((n) => r.set(t.key(), `${n}`));
    await r.close();
    assert.deepEqual(await Promise.all(got), numbers(100).map(() => 'OK'));
    await fails(r.get('k'), 'The client is closed');
    assert.equal(await (await t.client()).get(t.key()), '99');
  },
  'is doubled': async (t) => {
    const other = (await t.client()).duplicate();
    t.opened.push(other);
    other.on('error', () => {});
    await other.connect();
    assert.equal(await other.set(t.key(), 'v'), 'OK');
  },
  'a pool of clients': async (t) => {
    // As many at most as at least: the pool of node-redis 5 thins itself out even when it is closed.
    const pool = t.library.createClientPool({ socket: t.where() }, { minimum: 4, maximum: 4 });
    pool.on('error', () => {});
    await pool.connect();
    await Promise.all(numbers(200).map((n) => pool.set(t.key(n), `v${n}`, { EX: 100 })));
    const got = await Promise.all(numbers(200).map((n) => pool.get(t.key(n))));
    assert.deepEqual(got, numbers(200).map((n) => `v${n}`));
    await pool.close();
  },
};

const values = {
  'text, empty text and what is not there': TEXTS,
  'bytes, in keys too': async (t) => {
    const { RESP_TYPES } = t.library;
    const r = (await t.client()).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const bytes = crypto.randomBytes(70000);
    const key = Buffer.concat([Buffer.from(t.key()), Buffer.from([0, 13, 10, 255])]);
    assert.equal(await r.set(key, bytes), 'OK');
    assert.deepEqual(await r.get(key), bytes);
    assert.deepEqual(await r.getDel(key), bytes);
    assert.equal(await r.exists(key), 0);
  },
  '5 MB, also at another server': async (t) => {
    const mapping = { [t.library.RESP_TYPES.BLOB_STRING]: Buffer };
    const [one, two] = [await t.client(0), await t.client(1)].map((r) => r.withTypeMapping(mapping));
    const bytes = crypto.randomBytes(5000000);
    assert.equal(await one.set(t.key(), bytes, { EX: 100 }), 'OK');
    assert.ok(bytes.equals(await one.get(t.key())));
    assert.ok(bytes.equals(await two.get(t.key())));
    assert.equal(await two.del(t.key()), 1);
    assert.equal(await one.get(t.key()), null);
  },
  'the forms of SET': async (t) => {
    const r = await t.client();
    for (const [words, answer, ttl] of SETS()) {
      assert.equal(await r.sendCommand(['SET', t.key(), ...words.map(String)]), answer, `SET ${words}`);
      lasts(await r.pTTL(t.key()), ttl, `SET ${words}`);
    }
  },
  'SET by options': async (t) => {
    const r = await t.client();
    assert.equal(await r.set(t.key(), 'a', { expiration: { type: 'EX', value: 100 }, condition: 'NX' }), 'OK');
    assert.equal(await r.set(t.key(), 'b', { EX: 100, NX: true }), null);
    assert.equal(await r.set(t.key(), 'c', { expiration: 'KEEPTTL', GET: true }), 'a');
    assert.equal(await r.ttl(t.key()), 100);
    assert.equal(await r.set(t.key(), 'd', { condition: 'XX', expiration: { type: 'PX', value: 50000 } }), 'OK');
    assert.ok((await r.pTTL(t.key())) > 40000);
  },
  'SETEX, PSETEX, SETNX, GETEX, GETDEL': async (t) => {
    const r = await t.client();
    assert.equal(await r.setEx(t.key(), 100, 'v'), 'OK');
    assert.equal(await r.ttl(t.key()), 100);
    assert.equal(await r.pSetEx(t.key(), 5000, 'w'), 'OK');
    assert.equal(await r.setNX(t.key(), 'x'), 0);
    assert.equal(await r.getEx(t.key(), { type: 'EX', value: 200 }), 'w');
    assert.equal(await r.ttl(t.key()), 200);
    assert.equal(await r.getEx(t.key(), { type: 'PERSIST' }), 'w');
    assert.equal(await r.ttl(t.key()), -1);
    assert.equal(await r.getDel(t.key()), 'w');
    assert.equal(await r.getDel(t.key()), null);
    assert.equal(await r.ttl(t.key()), -2);
  },
  'many keys at once': async (t) => {
    const r = await t.client();
    const names = numbers(300).map((n) => t.key(n));
    await Promise.all(names.map((name, n) => r.set(name, `v${n}`)));
    assert.deepEqual(await r.mGet([...names, t.key('none')]), [...names.map((_, n) => `v${n}`), null]);
    assert.equal(await r.exists(names), 300);
    assert.equal(await r.touch([names[0], t.key('none')]), 1);
    assert.equal(await r.unlink([names[0], names[1], t.key('none')]), 2);
    assert.equal(await r.del(names), 298);
    assert.equal(await r.exists(names), 0);
  },
  'expiry': async (t) => {
    const r = await t.client();
    assert.equal(await r.expire(t.key(), 10), 0);
    await r.set(t.key(), 'v');
    assert.equal(await r.expire(t.key(), 100), 1);
    assert.equal(await r.expire(t.key(), 50, 'GT'), 0);
    assert.equal(await r.pExpire(t.key(), 90000, 'LT'), 1);
    assert.equal(await r.expireAt(t.key(), new Date(Date.now() + 500000)), 1);
    assert.ok((await r.ttl(t.key())) > 490);
    assert.equal(await r.pExpireAt(t.key(), Date.now() + 700000), 1);
    assert.ok((await r.pTTL(t.key())) > 690000);
    assert.equal(await r.persist(t.key()), 1);
    await r.set(t.key(), 'v', { PX: 30 });
    await t.poll(async () => (await r.get(t.key())) === null, 'it is over');
    assert.equal(await r.exists(t.key()), 0);
  },
  'hashes': async (t) => {
    const r = await t.client();
    assert.deepEqual({ ...(await r.hGetAll(t.key())) }, {});
    assert.equal(await r.hSet(t.key(), { a: '1', b: '2' }), 2);
    assert.equal(await r.hSet(t.key(), new Map([['a', 'one'], ['c', '']])), 1);
    assert.equal(await r.hSet(t.key(), 'd', '4'), 1);
    assert.deepEqual({ ...(await r.hGetAll(t.key())) }, { a: 'one', b: '2', c: '', d: '4' });
    assert.deepEqual(await r.hmGet(t.key(), ['a', 'none', 'c']), ['one', null, '']);
    assert.equal(await r.hGet(t.key(), 'none'), null);
    assert.equal(await r.hIncrBy(t.key(), 'b', 40), 42);
    assert.equal(await r.hSetNX(t.key(), 'a', 'x'), 0);
    assert.equal(await r.hExists(t.key(), 'a'), 1);
    assert.equal(await r.hLen(t.key()), 4);
    assert.deepEqual((await r.hKeys(t.key())).sort(), ['a', 'b', 'c', 'd']);
    assert.deepEqual((await r.hVals(t.key())).sort(), ['', '4', '42', 'one']);
    assert.equal(await r.hDel(t.key(), ['a', 'b', 'none']), 2);
    assert.equal(await r.type(t.key()), 'hash');
    await r.rename(t.key(), t.key('new'));
    assert.equal(await r.hLen(t.key('new')), 2);
    await fails(r.rename(t.key(), t.key('new')), 'ERR no such key');
  },
  'a hash of bytes and of 1,000 fields': async (t) => {
    const r = await t.client();
    const raw = r.withTypeMapping({ [t.library.RESP_TYPES.BLOB_STRING]: Buffer });
    const bytes = crypto.randomBytes(3000);
    await r.hSet(t.key(), 'raw', bytes);
    assert.deepEqual(await raw.hGet(t.key(), 'raw'), bytes);
    const [some, more] = ['field', 'more'].map((name) => Object.fromEntries(numbers(500).map((n) => [`${name}${n}`, 'v'.repeat(n % 50)])));
    assert.equal(await r.hSet(t.key('many'), some), 500);
    assert.equal(await r.hSet(t.key('many'), more), 500);
    assert.deepEqual({ ...(await r.hGetAll(t.key('many'))) }, { ...some, ...more });
  },
  'errors, to the letter': async (t) => {
    for (const RESP of [2, 3]) {
      const r = await t.client(0, { RESP });
      await r.set(t.key('text'), 'v');
      await r.hSet(t.key('hash'), 'f', 'v');
      for (const [words, message] of SERVER_ERRORS(t)) await fails(r.sendCommand(words), message);
      assert.equal(await r.get(t.key('text')), 'v');
    }
  },
};

const streams = {
  'a pipeline with an error in it': async (t) => {
    const r = await t.client();
    const pipe = r.multi().set(t.key(), 'v', { EX: 100 }).get(t.key()).hGet(t.key(), 'f').ttl(t.key());
    await fails(pipe.execAsPipeline(), 'WRONGTYPE Operation against a key holding the wrong kind of value');
    assert.deepEqual(await r.multi().get(t.key()).ttl(t.key()).execAsPipeline(), ['v', 100]);
  },
  '10,000 commands of one turn, in order': async (t) => {
    const r = await t.client();
    const got = [];
    for (let n = 0; n < 5000; n += 1) got.push(r.set(t.key(n % 100), `v${n}`, { EX: 100 }), r.get(t.key(n % 100)));
    const answers = await Promise.all(got);
    for (let n = 0; n < 5000; n += 1) assert.deepEqual(answers.slice(2 * n, 2 * n + 2), ['OK', `v${n}`]);
    const mixed = await Promise.allSettled([r.get(t.key(1)), r.hGet(t.key(1), 'f'), r.get(t.key(2))]);
    assert.deepEqual(mixed.map((each) => each.status), ['fulfilled', 'rejected', 'fulfilled']);
  },
  '10,000 commands as a pipeline': async (t) => {
    const r = await t.client();
    const pipe = r.multi();
    for (let n = 0; n < 5000; n += 1) pipe.set(t.key(n % 100), `v${n}`, { EX: 100 }).get(t.key(n % 100));
    const got = await pipe.execAsPipeline();
    assert.equal(got.length, 10000);
    for (let n = 0; n < 5000; n += 1) assert.equal(got[2 * n + 1], `v${n}`);
  },
  '50 clients at once': async (t) => {
    const clients = await Promise.all(numbers(50).map((n) => t.client(n)));
    await Promise.all(clients.map(async (r, n) => {
      for (let turn = 0; turn < 20; turn += 1) {
        await r.set(t.key(n), `${n}.${turn}`, { EX: 100 });
        assert.equal(await r.get(t.key(n)), `${n}.${turn}`);
      }
    }));
  },
  'MULTI and EXEC': async (t) => {
    const r = await t.client();
    const got = await r.multi().set(t.key(), 'v').expire(t.key(), 100).get(t.key()).hGetAll(t.key('none')).exec();
    assert.deepEqual([...got.slice(0, 3), { ...got[3] }], ['OK', 1, 'v', {}]);
    await assert.rejects(r.multi().hGet(t.key(), 'f').get(t.key()).exec(), (error) => {
      assert.equal(error.replies[0].message, 'WRONGTYPE Operation against a key holding the wrong kind of value');
      assert.equal(error.replies[1], 'v');
      return true;
    });
  },
  'MULTI by hand, DISCARD': async (t) => {
    const r = await t.client();
    assert.equal(await r.sendCommand(['MULTI']), 'OK');
    assert.equal(await r.sendCommand(['SET', t.key(), 'v']), 'QUEUED');
    assert.equal(await r.sendCommand(['DISCARD']), 'OK');
    assert.equal(await r.get(t.key()), null);
    await fails(r.sendCommand(['EXEC']), 'ERR EXEC without MULTI');
  },
  'a transaction with a mistake does nothing': async (t) => {
    const r = await t.client();
    await fails(r.multi().set(t.key(), 'v').addCommand(['NOSUCH']).exec(), noCommand('NOSUCH'));
    assert.equal(await r.get(t.key()), null);
    await r.sendCommand(['MULTI']);
    await fails(r.sendCommand(['NOSUCH']), noCommand('NOSUCH'));
    await fails(r.sendCommand(['EXEC']), 'EXECABORT Transaction discarded because of previous errors.');
  },
  'WATCH sees another client': async (t) => {
    const [one, two] = [await t.client(0), await t.client(0)];
    await one.set(t.key(), '1');
    await one.watch(t.key());
    await two.set(t.key(), '2');
    await assert.rejects(one.multi().set(t.key(), '3').exec(), t.library.WatchError);
    assert.equal(await one.get(t.key()), '2');
    await one.watch(t.key());
    assert.deepEqual(await one.multi().set(t.key(), '3').exec(), ['OK']);
  },
  'scanIterator finds every key once': async (t) => {
    const r = await t.client();
    const names = numbers(250).map((n) => t.key(n)).sort();
    await Promise.all(names.map((name) => r.set(name, 'v', { EX: 100 })));
    const found = [];
    for await (const some of r.scanIterator({ MATCH: `${t.key()}*`, COUNT: 40 })) found.push(...some);
    assert.deepEqual([...new Set(found)].sort(), names);
    assert.equal((await r.keys(`${t.key()}1?`)).length, 10);
  },
};

const scripts = {
  'a command by script, whose hash is tried first': async (t) => {
    const unlock = t.library.defineScript({
      SCRIPT: UNLOCK,
      NUMBER_OF_KEYS: 1,
      parseCommand(parser, key, owner) { parser.pushKey(key); parser.push(owner); },
      transformReply: (reply) => reply,
    });
    const r = await t.client(0, { scripts: { unlock } });
    await r.set(t.key(), 'me', { PX: 30000, NX: true });
    assert.equal(await r.unlock(t.key(), 'other'), 0);
    assert.equal(await r.get(t.key()), 'me');
    assert.equal(await r.unlock(t.key(), 'me'), 1);
    assert.deepEqual(await r.multi().set(t.key(), 'me').unlock(t.key(), 'me').exec(), ['OK', 1]);
  },
  'the same by EVAL, written another way': async (t) => {
    const r = await t.client();
    await r.set(t.key(), 'me');
    const lua = "\n  if redis.call('get', KEYS[1]) == ARGV[1] then\n    return redis.call('del', KEYS[1])\n  else\n    return 0\n  end\n";
    assert.equal(await r.eval(lua, { keys: [t.key()], arguments: ['me'] }), 1);
    assert.equal(await r.eval(lua, { keys: [t.key()], arguments: ['me'] }), 0);
  },
  'SCRIPT LOAD and EXISTS, NOSCRIPT': async (t) => {
    const r = await t.client();
    const hash = await r.scriptLoad(UNLOCK);
    assert.equal(hash, crypto.createHash('sha1').update(UNLOCK).digest('hex'));
    assert.deepEqual(await r.scriptExists([hash, 'f'.repeat(40)]), [1, 0]);
    await fails(r.evalSha('f'.repeat(40), { keys: [t.key()], arguments: ['x'] }), 'NOSCRIPT No matching script. Please use EVAL.');
  },
  'what no session store sends is refused, and the connection goes on': async (t) => {
    if (!t.agent) t.skip('redis-server knows all of it');
    for (const RESP of [2, 3]) {
      const r = await t.client(0, { RESP });
      await fails(r.eval("return redis.call('incr', KEYS[1])", { keys: [t.key()] }), /^ERR .*script/);
      await fails(r.lPush(t.key(), 'a'), noCommand('LPUSH', t.key(), 'a'));
      await fails(r.publish('news', 'x'), noCommand('PUBLISH', 'news', 'x'));
      await fails(r.flushAll(), /^ERR 'flushall' is switched off here/);
      assert.equal(await r.set(t.key(), 'v'), 'OK');
      assert.equal(await r.get(t.key()), 'v');
    }
  },
};

const several = {
  'a session of Express that was ended is not written again': async (t) => {
    const [r, other] = [await t.client(0), await t.client(1)];
    const key = `sess:${t.key()}`;
    assert.equal(await r.set(key, 'v', { EX: 100 }), 'OK');
    assert.equal(await other.get(key), 'v');
    assert.equal(await other.del(key), 1);
    assert.equal(await r.set(key, 'v', { EX: 100 }), 'OK');
    for (const client of [r, other]) assert.equal(await client.get(key), t.agent ? null : 'v');
  },
  'SET here, GET there': async (t) => {
    const clients = [await t.client(0), await t.client(1)];
    await Promise.all(numbers(200).map(async (n) => {
      const [here, there] = n % 2 ? clients : [clients[1], clients[0]];
      await here.set(t.key(n), `v${n}`, { EX: 100 });
      assert.equal(await there.get(t.key(n)), `v${n}`);
      assert.equal(await there.expire(t.key(n), 500), 1);
      await there.set(t.key(n), `w${n}`, { EX: 500 });
      assert.equal(await here.get(t.key(n)), `w${n}`);
      assert.ok((await here.ttl(t.key(n))) > 490);
      assert.equal(await here.del(t.key(n)), 1);
      assert.equal(await there.get(t.key(n)), null);
    }));
  },
  'MGET, hashes and transactions of what lies elsewhere': async (t) => {
    const [here, there] = [await t.client(0), await t.client(1)];
    const names = numbers(100).map((n) => t.key(n));
    await Promise.all(names.map((name) => here.set(name, name, { EX: 100 })));
    assert.deepEqual(await there.mGet(names), names);
    await there.hSet(t.key('hash'), { user: 'alice' });
    assert.deepEqual({ ...(await here.hGetAll(t.key('hash'))) }, { user: 'alice' });
    const all = here.multi();
    names.forEach((name) => all.getDel(name));
    assert.deepEqual(await all.exec(), names);
    assert.equal(await there.exists(names), 0);
  },
  'a lock is taken once': async (t) => {
    const clients = await Promise.all(numbers(9).map((n) => t.client(n)));
    for (let round = 0; round < 10; round += 1) {
      const got = await Promise.all(clients.map((r, n) => r.set(t.key(round), `${n}`, { PX: 30000, NX: true })));
      assert.equal(got.filter((each) => each === 'OK').length, 1);
      const freed = await Promise.all(clients.map((r, n) => r.eval(UNLOCK, { keys: [t.key(round)], arguments: [`${n}`] })));
      assert.deepEqual(freed, got.map((each) => Number(each === 'OK')));
    }
  },
  'commands wait for the connection': async (t) => {
    const r = t.made();
    const [set, get] = [r.set(t.key(), 'v'), r.get(t.key())];
    assert.deepEqual([await set, await get], ['OK', 'v']);
    await fails(t.made(0, { disableOfflineQueue: true }).get('k'), 'The client is offline');
  },
  'finds a server that was killed and started again': async (t) => {
    const [r, other] = [await t.client(0), await t.client(1)];
    await r.set(t.key(), 'v', { EX: 100 });
    const away = event(r, 'reconnecting');
    await t.order('kill', 0);
    await away;
    if (t.kind === 'agents') assert.equal(await other.get(t.key()), 'v');
    const back = event(r, 'ready');
    await t.order('start', 0);
    await back;
    assert.equal(await r.get(t.key()), t.kind === 'agents' ? 'v' : null);
    await r.set(t.key('new'), 'w');
    assert.equal(await r.get(t.key('new')), 'w');
  },
  'what was answered before a server died is kept by the others': async (t) => {
    const [r, other] = [await t.client(0, { disableOfflineQueue: true }), await t.client(1)];
    const writes = numbers(500).map((n) => r.set(t.key(n), `v${n}`, { EX: 100 }));
    const killed = t.order('kill', 0);
    const got = await Promise.allSettled(writes);
    await killed;
    const back = event(r, 'ready');
    if (t.kind === 'agents') {
      const kept = await other.mGet(numbers(500).map((n) => t.key(n)));
      got.forEach((each, n) => assert.ok(each.status === 'rejected' || kept[n] === `v${n}`, `${n}: ${kept[n]}`));
    }
    await t.order('start', 0);
    await back;
    assert.equal(await r.ping(), 'PONG');
  },
};

module.exports = { open, ready, close, cases: { ...connection, ...values, ...streams, ...scripts, ...several } };
