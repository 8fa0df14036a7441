"""A shop as people write it, on Django's session middleware. FILE is the part of the settings that
says where sessions are kept; it stands in the guide.

    python3 shop.py NAME PORT FILE
"""
import sys
from pathlib import Path

import waitress
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

name, port, file = sys.argv[1:]
kept = {}
exec(Path(file).read_text(), kept)
settings.configure(
    SECRET_KEY="interop",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    **{key: value for key, value in kept.items() if key.isupper()},
)


def page(request):
    session = request.session
    return JsonResponse(
        {"server": name, "user": session.get("user"), "cart": session.get("cart", 0)}
    )


def add(request):
    request.session["cart"] = request.session.get("cart", 0) + 1
    return page(request)


def login(request):
    request.session.cycle_key()  # what django.contrib.auth.login() does
    request.session["user"] = request.GET["user"]
    return page(request)


def logout(request):
    request.session.flush()  # what django.contrib.auth.logout() does
    return page(request)


urlpatterns = [
    path("healthz", lambda request: JsonResponse({})),
    path("me", page),
    path("add", add),
    path("login", login),
    path("logout", logout),
]

if __name__ == "__main__":
    waitress.serve(get_wsgi_application(), host="127.0.0.1", port=int(port))
