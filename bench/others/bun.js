// The raw dialect as far as the measurements need it, on Bun's own WebSocket server (uWebSockets). Run by
// `fanfare-bench ... --server 'bun bench/others/bun.js'`.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const { searchParams } = new URL(request.url);
    const topic = searchParams.get("topic") ?? "lobby";
    const receives = searchParams.get("role") !== "publisher";
    return server.upgrade(request, { data: { topic, receives } }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.receives) socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      server.publish(socket.data.topic, message);
    },
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);
process.on("SIGTERM", () => process.exit(0));
