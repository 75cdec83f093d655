"""The console as a whole: its paths, and who is let in to them."""

from aiohttp import web

from console.identity import OPEN, first_segment, identity_of, is_own
from console.pages import Pages
from console.readings import Readings
from console.rendering import templates
from console.sign_in import SignIn, signed_out, to_sign_in
from console.static_files import static_routes
from console.upload.files import Files
from console.upload.page import UploadPage
from producer.additions import Addition, Opened

EVENTS = "/events"
"""What happens, as the pages follow it: of all other paths the cookie opens this one alone."""


def console(opened: Opened, files: Files | None = None) -> Addition:
    """Return the console's paths; `files` is who reads files that are uploaded, None where nobody can."""
    pages = Pages(opened=opened, readings=Readings(queries=opened.queries), templates=templates())
    routes = [*pages.routes(), *SignIn(pages=pages).routes(), *static_routes()]
    routes += UploadPage(pages=pages, files=files).routes()

    def admits(request: web.Request) -> bool:
        """Let in who has signed in; without tokens the server's own rule holds, by which only this machine is."""
        if not opened.settings.tokens:
            return False
        is_known = identity_of(request, opened.settings, opened.queries.now()).may_look
        if request.path == EVENTS:
            return is_known and request.method == "GET"
        if not is_own(request.path):
            return False
        if is_known or first_segment(request.path) in OPEN:
            return True
        if request.method == "GET":
            raise to_sign_in(request)
        if first_segment(request.path) and "text/html" in request.headers.get("Accept", ""):
            raise signed_out(pages, request)
        return False

    return Addition(routes=routes, admits=admits)
