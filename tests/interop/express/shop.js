// A shop as people write it, on express-session. FILE is the part that says where sessions are kept;
// it stands in the guide and is read as if it stood here.
//   node shop.js NAME PORT FILE
'use strict';
const express = require('express');
const fs = require('fs');

const [name, port, file] = process.argv.slice(2);
const app = express();
app.disable('x-powered-by');
app.get('/healthz', (request, response) => response.json({}));
new Function('app', 'require', fs.readFileSync(file, 'utf8'))(app, require);

function page(request, response) {
  const { user = null, cart = 0 } = request.session || {};
  response.json({ server: name, user, cart });
}
app.get('/me', page);
app.post('/add', (request, response) => {
  request.session.cart = (request.session.cart || 0) + 1;
  page(request, response);
});
app.post('/login', (request, response, next) => {
  const { cart } = request.session;
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.cart = cart;
    request.session.user = request.query.user;
    return page(request, response);
  });
});
app.post('/logout', (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : page(request, response)));
});

// One text a session. The answer says that it is stored only when it is.
function note(request, response) {
  response.json({ server: name, note: (request.session && request.session.note) || null });
}
app.get('/note', note);
app.post('/note', express.text(), (request, response, next) => {
  request.session.note = request.body;
  request.session.save((error) => (error ? next(error) : note(request, response)));
});

app.listen(Number(port), '127.0.0.1');
