// Formulas first, then every page is made to fit, then reveal takes over: hidden pages could not be measured.
const SIZE = {width: 1280, height: 720};
const ROOM = SIZE.height - 20;

function fit(page) {
  const pictures = [...page.querySelectorAll(".jp-OutputArea img, .jp-OutputArea svg")];
  for (const picture of pictures) picture.style.height = "0px";
  const text = page.scrollHeight;
  for (const picture of pictures) {  // all the height there is, the shape kept
    picture.style.height = Math.max(ROOM * 0.5, ROOM - text) / pictures.length + "px";
  }
  const wide = Math.max(...[...page.querySelectorAll("pre, table")].map((e) => e.scrollWidth), SIZE.width);
  const zoom = Math.min(1, ROOM / page.scrollHeight, SIZE.width / wide);
  page.dataset.zoom = zoom.toFixed(2);
  if (zoom < 1) for (const part of page.children) part.style.zoom = zoom;
}

async function start() {
  document.body.classList.add("measuring");
  await MathJax.startup.promise;
  await MathJax.typesetPromise([document.querySelector(".slides")]);
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
  document.querySelectorAll(".slides > section > section").forEach(fit);
  document.body.classList.remove("measuring");
  await Reveal.initialize({
    ...SIZE, margin: 0.06, center: false, hash: true, transition: "none", slideNumber: "c/t", showNotes: false,
    plugins: [RevealNotes],
  });
}

start();
