// Leads the fetch of a Node that does not know NODE_USE_ENV_PROXY (before 22.21) through the proxy in
// HTTP_PROXY: every connection is a CONNECT. Loaded before a server's own code by NODE_OPTIONS.
"use strict";
const http = require("node:http");
const tls = require("node:tls");

const DISPATCHER = Symbol.for("undici.globalDispatcher.1");
const proxy = process.env.HTTP_PROXY ? new URL(process.env.HTTP_PROXY) : null;
const [major, minor] = process.versions.node.split(".").map(Number);
const knows = major >= 24 || (major === 22 && minor >= 21);

if (proxy && !knows) {
  fetch("data:,").catch(() => {}); // the first use makes the dispatcher that the built-in fetch asks
  const Agent = globalThis[DISPATCHER].constructor;
  globalThis[DISPATCHER] = new Agent({
    connect({ protocol, hostname, port, servername }, done) {
      const path = `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
      const asked = http.request({
        host: proxy.hostname, port: proxy.port, method: "CONNECT", path, headers: { host: path }, agent: false,
      });
      asked.once("error", (error) => done(error, null));
      asked.once("connect", (answer, socket) => {
        if (answer.statusCode !== 200) {
          socket.destroy();
          done(new Error(`the proxy answered ${answer.statusCode} ${answer.statusMessage}`), null);
        } else if (protocol === "https:") {
          const secure = tls.connect({ socket, servername: servername || hostname, ALPNProtocols: ["http/1.1"] });
          secure.once("secureConnect", () => done(null, secure));
          secure.once("error", (error) => done(error, null));
        } else {
          done(null, socket);
        }
      });
      asked.end();
    },
  });
}
