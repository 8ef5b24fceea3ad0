"""lib.raw_origin behind Python's TLS: what clients agreed on is recorded for each connection."""

import socket
import ssl

from .raw_origin import Connection, Gone, RawOrigin, default_script
from .tls import Certificate


class TlsConnection(Connection):
    """A connection whose answers may end it as TLS knows it: "close" with close_notify, "cut" without."""

    resumed = version = cipher = protocol = name = None

    def fill(self, limit=16384):
        try:
            return super().fill(limit)
        except ssl.SSLError:
            self.ended = True
            raise Gone from None

    def finish(self, how):
        if how == "close":
            self.sock.settimeout(0)
            try:
                self.sock.unwrap()  # sends close_notify, and would wait for the client's
            except (OSError, ValueError):
                pass
            self.sock.settimeout(None)
        if how == "rst":
            super().finish("rst")
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while socket.socket.recv(self.sock, 65536):
                pass
        except OSError:
            pass
        self.sock.close()
        self.ended = True


class TlsOrigin(RawOrigin):
    def __init__(self, directory, script=default_script, version=None, certificate=None, client_ca=None, **more):
        """client_ca: clients have to show a certificate of this authority."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = certificate or Certificate(directory, "origin.example")
        self.context.load_cert_chain(certificate.cert, certificate.key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca.cert)
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        if version:
            self.context.minimum_version = self.context.maximum_version = version
        self.context.sni_callback = self._named
        self.refused = 0
        self._names = {}
        super().__init__(script, **more)

    def _named(self, sock, name, _context):
        self._names[sock] = name

    def _serve(self, connection):
        plain = connection.sock
        try:
            sock = self.context.wrap_socket(plain, server_side=True)
        except OSError:
            with self.lock:
                self.refused += 1
            plain.close()
            return
        connection.__class__ = TlsConnection
        connection.sock = sock
        connection.resumed, connection.version, connection.cipher = sock.session_reused, sock.version(), sock.cipher()[0]
        connection.protocol, connection.name = sock.selected_alpn_protocol(), self._names.pop(sock, None)
        super()._serve(connection)

    def greeted(self):
        """Connections with a handshake that is complete."""
        with self.lock:
            return [c for c in self.connections if isinstance(c, TlsConnection) and c.version]
