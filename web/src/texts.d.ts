// What the build puts in as text: see build.mjs.

/** The worker, bundled: new Worker(URL.createObjectURL(new Blob([source]))). */
declare module "worker-source" {
  const source: string;
  export default source;
}

declare module "*.txt" {
  const text: string;
  export default text;
}
