// The live console: what moved and what llama.cpp said, newest last. It keeps the last lines only.
(() => {
  const box = document.getElementById("console-lines");
  if (!box) return;
  const MOST = 1000;
  const filter = document.getElementById("console-filter");
  const pause = document.getElementById("console-pause");
  const kept = [], held = [];
  let paused = false;

  const clock = (at) => new Date(at).toISOString().slice(11, 19);
  const moved = (event) =>
    [clock(event.at ?? Date.now()), event.kind, event.run, event.model, event.job && event.job.slice(0, 12), event.worker]
      .filter(Boolean).join("  ");
  const said = (line) => `${clock(line.at)}  llama.cpp  ${line.level}  ${line.text}  (${line.worker})`;
  const shown = (text) => text.toLowerCase().includes(filter.value.toLowerCase());

  function add(lines) {
    if (paused) { held.push(...lines); held.splice(0, held.length - MOST); label(); return; }
    const end = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
    kept.push(...lines);
    kept.splice(0, kept.length - MOST);
    for (const line of lines.filter(shown)) row(line);
    while (box.childElementCount > MOST) box.firstElementChild.remove();
    if (end) box.scrollTop = box.scrollHeight;
  }
  function row(line) {
    const element = document.createElement("div");
    element.textContent = line;
    box.append(element);
  }
  const label = () => {
    pause.textContent = paused ? `Go on${held.length ? ` (${held.length})` : ""}` : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
  };

  filter.addEventListener("input", () => { box.replaceChildren(); kept.filter(shown).forEach(row); });
  pause.addEventListener("click", () => {
    paused = !paused;
    if (!paused) add(held.splice(0));
    label();
  });
  document.getElementById("console-copy").addEventListener("click", async (event) => {
    const text = [...box.children].map((each) => each.textContent).join("\n");
    try {
      await navigator.clipboard.writeText(text);
      event.target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(box);
      event.target.textContent = "Selected";
    }
    setTimeout(() => { event.target.textContent = "Copy"; }, 2000);
  });
  const lines = (told) => [...(told.moved ?? []).map(moved), ...(told.lines ?? []).map(said)];
  fetch(box.dataset.recent, { headers: { "nightjar-request": "1" } })
    .then((answer) => (answer.ok ? answer.json() : {}))
    .then((told) => add(lines(told).sort()))
    .catch(() => {})
    .finally(() => document.addEventListener("nightjar-heard", (event) => add(lines(event.detail))));
})();
