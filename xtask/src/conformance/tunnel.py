"""Takes plain connections and passes them on over TLS, to whatever certificate."""

import asyncio
import ssl
import sys

HOST, PORT = sys.argv[1].split(":")
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


async def forward(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # The other end is gone, and so is this one.
    finally:
        writer.close()


async def serve(reader, writer):
    server_reader, server_writer = await asyncio.open_connection(HOST, PORT, ssl=CONTEXT)
    await asyncio.gather(forward(reader, server_writer), forward(server_reader, writer))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
