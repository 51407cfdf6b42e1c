"""The WSGI entry point of gunicorn: `wsgi:application`."""

from bookshop import create_app

application = create_app()
