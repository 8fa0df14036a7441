"""A shop as people write it, on Flask-Session. FILE is the part that says where sessions are kept;
it stands in the guide and is read as if it stood here.

    python3 shop.py NAME PORT FILE
"""
import sys
from pathlib import Path

import waitress
from flask import Flask, jsonify, request, session

name, port, file = sys.argv[1:]
app = Flask(__name__)
exec(Path(file).read_text(), {"app": app})


@app.get("/healthz")
def healthz():
    return jsonify({})


@app.get("/me")
def page():
    return jsonify(server=name, user=session.get("user"), cart=session.get("cart", 0))


@app.post("/add")
def add():
    session["cart"] = session.get("cart", 0) + 1
    return page()


@app.post("/login")
def login():
    session["user"] = request.args["user"]
    return page()


@app.post("/logout")
def logout():
    session.clear()
    return page()


if __name__ == "__main__":
    waitress.serve(app, host="127.0.0.1", port=int(port))
