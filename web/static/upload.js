// A file is sent as it is; what the server says of it is text, a line an error.
(() => {
  const form = document.getElementById("upload");
  const said = document.getElementById("said");
  if (!form) return;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    if (!file) return;
    const line = document.createElement("p");
    line.className = "info lines";
    line.textContent = `${file.name} is being read.`;
    said.replaceChildren(line);
    const query = new URLSearchParams({ file: file.name, skip: form.elements.skip.checked ? "yes" : "" });
    try {
      const answer = await fetch(`${form.dataset.to}?${query}`, { method: "POST", headers: { "nightjar-request": "1" }, body: file });
      const told = await answer.json().catch(() => ({ error: { message: `The server answered ${answer.status}.` } }));
      line.className = answer.ok ? "info lines" : "warning lines";
      line.textContent = told.said ?? told.error.message;
      if (answer.ok) document.body.dispatchEvent(new CustomEvent("nightjar-changed", { bubbles: true }));
    } catch {
      line.className = "warning lines";
      line.textContent = "It could not be sent.";
    }
  });
})();
