// Builds the page, one self-contained file, into pfa_edu/web (or the folder given).
//
//   src/engine/worker.ts + its data  ->  a string, from which the page starts its worker: a page opened from disk may
//                                        not load a worker from a file
//   src/index.html, src/view/main.ts, src/*.css and that string  ->  index.html
//
// The output is committed and has to be the same everywhere: esbuild is pinned, and nothing here depends on paths or
// time.
import { readFileSync, readdirSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const src = join(here, "src");
const out = resolve(process.argv[2] ?? join(here, "..", "pfa_edu", "web"));

const css = (await bundled(null)).css;
const worker = (await bundled("engine/worker.ts", { format: "iife" })).js;
const page = (await bundled("view/main.ts", { format: "iife", texts: { "worker-source": worker } })).js;

let html = readFileSync(join(src, "index.html"), "utf8");
html = put(html, "<!-- build: style -->", `<style>${css}</style>`);
html = put(html, "<!-- build: script -->", `<script>${page.trimEnd()}</script>`);

mkdirSync(out, { recursive: true });
writeFileSync(join(out, "index.html"), html);
console.log(`${(Buffer.byteLength(html) / 1000).toFixed(0)} kB  index.html`);

/** `entry` bundled and minified; without one, all style sheets of src in the order of their names. */
async function bundled(entry, { format, texts = {} } = {}) {
  const sheets = readdirSync(src).filter((name) => name.endsWith(".css")).sort();
  const input = entry
    ? { entryPoints: [join(src, entry)], format }
    : { stdin: { contents: sheets.map((s) => `@import "./${s}";`).join("\n"), resolveDir: src, loader: "css" } };
  const result = await build({
    ...input,
    absWorkingDir: here,
    bundle: true,
    minify: true,
    write: false,
    charset: "utf8",
    target: "es2022",
    legalComments: "none",
    loader: { ".txt": "text" },
    plugins: [given(texts)],
    outdir: "out",
  });
  const text = result.outputFiles[0].text;
  return { js: text, css: text.trimEnd() };
}

/** Modules whose default export is one of these texts. */
function given(texts) {
  return {
    name: "given",
    setup(b) {
      b.onResolve({ filter: /^worker-source$/ }, (args) => ({ path: args.path, namespace: "given" }));
      b.onLoad({ filter: /.*/, namespace: "given" }, (args) => ({ contents: texts[args.path] ?? "", loader: "text" }));
    },
  };
}

/** `html` with `text` in place of `mark`, which has to be there once. A function, as `text` may contain a $&. */
function put(html, mark, text) {
  if (html.split(mark).length !== 2) throw new Error(`src/index.html: it must contain ${mark} once`);
  return html.replace(mark, () => text);
}
