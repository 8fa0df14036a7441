// Runs the cases of a suite, one after the other, as it is told on its standard input.
//   node runner.js --list SUITE        the names of its cases, as JSON
//   node runner.js SUITE PACKAGE       PACKAGE: a folder of node_modules, the library under test
// A line in, {"case": NAME, "kind", "servers", "guarded"}, and one out, {"case": NAME, and "failed" or
// "skipped": why, if it was so}. In between a case may ask for something to be done to the servers: {"do": ..., "server": N},
// which is answered by {"done": true}.
//
// A suite exports open(library, where, options), close(client) and cases, {name: async (t) => ...}.
'use strict';
const readline = require('node:readline');

let waiting = null; // resolves with the line that answers what a case asked for
let keys = 0;

function say(told) {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

class Skipped extends Error {}

// What a case works with. kind: 'redis', 'agent' or 'agents'; servers are numbered, and any number is
// good: where there is one server it is always that one.
class Tools {
  constructor(suite, library, major, round) {
    Object.assign(this, { suite, library, major, kind: round.kind, guarded: round.guarded });
    this.servers = round.servers;
    this.opened = [];
  }

  get agent() {
    return this.kind !== 'redis';
  }

  where(server = 0) {
    return this.servers[server % this.servers.length];
  }

  // A client of that server, ready, closed behind the case; server may be a {path} or {port} itself.
  async client(server = 0, options = {}) {
    const client = this.made(server, options);
    await this.suite.ready(client);
    return client;
  }

  // The same without waiting.
  made(server = 0, options = {}) {
    const where = typeof server === 'number' ? this.where(server) : server;
    const client = this.suite.open(this.library, where, options);
    this.opened.push(client);
    return client;
  }

  // Ends the case as one that says nothing about this store or this library.
  skip(why) {
    throw new Skipped(why);
  }

  // A key of this case alone; keys of one name lie apart by `part`.
  key(part = '') {
    return `${this.prefix}${part}`;
  }

  // 'kill' (SIGKILL) or 'start' (until it serves).
  async order(what, server = 0) {
    say({ do: what, server: server % this.servers.length });
    await new Promise((resolve) => { waiting = resolve; });
  }

  // Asks until the answer is true, and gives it.
  async poll(condition, what, milliseconds = 10000) {
    const end = Date.now() + milliseconds;
    for (;;) {
      const value = await condition();
      if (value) return value;
      if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
      await new Promise((resolve) => { setTimeout(resolve, 5); });
    }
  }
}

async function run(suite, library, major, round) {
  const tools = new Tools(suite, library, major, round);
  keys += 1;
  tools.prefix = `test:${process.pid}:${keys}:`;
  try {
    await suite.cases[round.case](tools);
    return {};
  } catch (error) {
    if (error instanceof Skipped) return { skipped: error.message };
    return { failed: (error && error.stack) || String(error) };
  } finally {
    tools.opened.forEach(suite.close);
  }
}

async function main() {
  if (process.argv[2] === '--list') {
    say(Object.keys(require(`./${process.argv[3]}.js`).cases));
    return;
  }
  const [name, folder] = process.argv.slice(2);
  const suite = require(`./${name}.js`);
  const library = require(folder);
  const major = Number(require(`./node_modules/${folder}/package.json`).version.split('.')[0]);
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('close', () => process.exit(0));
  lines.on('line', async (line) => {
    const told = JSON.parse(line);
    if (told.done) return waiting();
    return say({ case: told.case, ...(await run(suite, library, major, told)) });
  });
}

// An error that nobody took belongs to the case that is running.
process.on('unhandledRejection', (error) => {
  say({ failed: `nobody took: ${(error && error.stack) || error}` });
  process.exit(1);
});

main();
