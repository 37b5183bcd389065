// The elimination, which is unpacked when somebody wants to see it.
"use strict";

document.getElementById("show")?.addEventListener("click", async (event) => {
  const packed = atob(JSON.parse(document.getElementById("elimination").textContent));
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const frame = document.createElement("iframe");
  frame.className = "elimination";
  frame.title = "Vertex elimination, step by step";
  frame.setAttribute("sandbox", "allow-scripts");  // it is a page of its own, and no part of this one
  frame.srcdoc = await new Response(stream).text();
  const tell = () => frame.contentWindow?.postMessage({ theme: isDark() ? "dark" : "light" }, "*");
  frame.addEventListener("load", tell);
  redraws.push(tell);
  event.target.replaceWith(frame);
  frame.focus();
});
