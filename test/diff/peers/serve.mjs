// Serves one other implementation of an AWS API at HOST PORT, all in memory:
// node serve.mjs NAME HOST PORT. It prints "ready" once, and ends when its
// standard input does.
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const [name, host, port] = process.argv.slice(2);
const at = { host, port: Number(port) };
const ready = () => console.log("ready");

switch (name) {
  case "fauxqs": {
    const { buildApp } = await import("fauxqs");
    await buildApp({ logger: false, defaultRegion: "us-east-1" }).listen(at);
    ready();
    break;
  }
  case "dynalite":
    require("dynalite")({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 }).listen(at, ready);
    break;
  case "kinesalite":
    require("kinesalite")({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 500 }).listen(at, ready);
    break;
  default:
    console.error(`no peer is called ${name}`);
    process.exit(2);
}
process.stdin.on("end", () => process.exit(0)).resume();
