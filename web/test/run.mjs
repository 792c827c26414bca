// Bundles test/NAME.ts and calls its main with the JSON of a file: node test/run.mjs NAME IN.json OUT.json
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const [name, from, to] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "pfa-web-"));
try {
  const outfile = join(folder, "bundle.mjs");
  const entry = join(dirname(fileURLToPath(import.meta.url)), `${name}.ts`);
  const loader = { ".txt": "text" };
  await build({ entryPoints: [entry], bundle: true, format: "esm", outfile, loader, logLevel: "error" });
  const { main } = await import(pathToFileURL(outfile));
  const cpuSeconds = () => process.cpuUsage().user / 1e6;
  writeFileSync(to, JSON.stringify(await main(JSON.parse(readFileSync(from, "utf8")), cpuSeconds)));
} finally {
  rmSync(folder, { recursive: true });
}
