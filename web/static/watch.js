// The text of a watched job, as it grows. Every part of it is text, whatever it holds.
(() => {
  const box = document.getElementById("watched");
  if (!box) return;
  const state = document.getElementById("watched-state");
  const parts = { reasoning: box.querySelector(".reasoning .text"), reply: box.querySelector(".reply") };
  let attempt = "", text = { reasoning: "", reply: "" };
  const source = new EventSource(box.dataset.text);
  source.addEventListener("text", (event) => {
    const said = JSON.parse(event.data);
    const of = `${said.fence}.${said.turn}`;
    if (of !== attempt) { attempt = of; text = { reasoning: "", reply: "" }; }
    if (said.offset <= text[said.part].length) text[said.part] = text[said.part].slice(0, said.offset) + said.text;
    for (const part in parts) parts[part].textContent = text[part];
    parts.reasoning.closest("details").hidden = !text.reasoning;
    state.textContent = `Turn ${said.turn}, as it is written.`;
  });
  source.addEventListener("ended", () => {
    source.close();
    state.textContent = "The turn is complete; the transcripts have it.";
  });
  addEventListener("pagehide", () => source.close());
})();
