"""What gunicorn loads: `wsgi:application`."""

from bookshop import create_app

application = create_app()
