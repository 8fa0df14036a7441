# A shop as people write it, on Rack's sessions. SESSION_FILE is the part that says where they are
# kept; it stands in the guide and is read as if it stood here.
#   SERVER=NAME SESSION_FILE=FILE puma -b tcp://127.0.0.1:PORT shop.ru
require 'json'

map('/healthz') { run ->(_) { [200, {}, ['{}']] } }
instance_eval(File.read(ENV.fetch('SESSION_FILE')))

run lambda { |env|
  request = Rack::Request.new(env)
  session = request.session
  case request.path
  when '/add' then session['cart'] = session.fetch('cart', 0) + 1
  when '/login'
    env['rack.session.options'][:renew] = true
    session['user'] = request.GET['user']
  when '/logout' then session.destroy
  end
  page = { server: ENV['SERVER'], user: session['user'], cart: session.fetch('cart', 0) }
  [200, { 'Content-Type' => 'application/json' }, [page.to_json]]
}
