// An application as people write it: express-session with its default MemoryStore. A session that
// arrives at another instance is a new session: the counter starts again.
//   node server.js NAME PORT
'use strict';
const express = require('express');
const session = require('express-session');

const [name, port] = process.argv.slice(2);
const app = express();
app.disable('x-powered-by');
app.set('trust proxy', 'loopback');
app.use(session({ secret: 'interop', resave: false, saveUninitialized: false }));
app.use(express.urlencoded({ extended: false }));

app.get('/count', (request, response) => {
  request.session.count = (request.session.count || 0) + 1;
  response.json({ server: name, count: request.session.count, client: request.ip });
});
app.post('/cart', (request, response) => {
  request.session.cart = (request.session.cart || []).concat(request.body.item);
  response.redirect(303, '/cart');
});
app.get('/cart', (request, response) => {
  response.json({ server: name, cart: request.session.cart || [] });
});
app.get('/logout', (request, response) => {
  request.session.destroy(() => response.json({ server: name }));
});

app.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
