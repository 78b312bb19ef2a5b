// Node's http, which tells how it has read each request. It prints its port.
'use strict';

const http = require('http');

const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

const tell = (request, content) =>
  [hex(request.method), hex(request.url), request.httpVersionMinor, content.toString('hex')].join();

const server = http.createServer((request, response) => {
  request.socket.last = response;
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('error', () => {});
  request.on('end', () => {
    response.setHeader('Echo', tell(request, Buffer.concat(pieces)));
    response.setHeader('Content-Length', 0);
    response.end();
  });
});

server.on('connect', (request, socket) => {
  socket.on('error', () => {});
  const respond = () => socket.end(`HTTP/1.1 200 OK\r\nEcho: ${tell(request, Buffer.alloc(0))}\r\n\r\n`);
  const last = socket.last;
  // The responses to the requests before it come first.
  if (last && !last.writableFinished) last.on('finish', respond);
  else respond();
});

// The client closes its side after its last request.
server.httpAllowHalfOpen = true;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
