"""h11 over sockets, which tells how it has read each request. It prints its port."""

import socket
import threading

import h11


def respond(connection, request, content):
    echo = b','.join([request.method.hex().encode(), request.target.hex().encode(),
                      request.http_version[-1:], content.hex().encode()])
    fields = [('Echo', echo), ('Content-Length', '0')]
    head = connection.send(h11.Response(status_code=200, headers=fields))
    # After a CONNECT the connection is a tunnel.
    return head if request.method == b'CONNECT' else head + connection.send(h11.EndOfMessage())


def serve(client):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    request, content = None, b''
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(client.recv(64 * 1024))
            elif type(event) is h11.Request:
                request, content = event, b''
            elif type(event) is h11.Data:
                content += event.data
            elif type(event) is h11.EndOfMessage:
                client.sendall(respond(connection, request, content))
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return
                connection.start_next_cycle()
            else:  # the client has closed, or the connection is a tunnel
                return
    except h11.RemoteProtocolError as error:
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refusal = h11.Response(status_code=error.error_status_hint, headers=[('Connection', 'close')])
            client.sendall(connection.send(refusal))
    except OSError:
        pass
    finally:
        client.close()


listener = socket.create_server(('127.0.0.1', 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
