"use strict";
// The name of the nearest item under the pointer, and one class alone when its legend entry is pressed.
for (const map of document.querySelectorAll(".map")) {
  const frame = map.querySelector(".frame"), svg = frame.querySelector("svg"), tip = frame.querySelector(".tip");
  const marks = [...svg.querySelectorAll(".mark")].map((mark) => {
    const box = mark.getBBox();
    return { mark, x: box.x + box.width / 2, y: box.y + box.height / 2 };
  });
  let alone = null, shown = null;

  const show = (found) => {
    if (shown) shown.mark.classList.remove("hot");
    shown = found;
    tip.hidden = !found;
    if (!found) return;
    found.mark.classList.add("hot");
    tip.replaceChildren();
    const name = document.createElement("strong");
    name.textContent = found.mark.dataset.name;
    tip.append(name);
    if (found.mark.dataset.class) tip.append(document.createElement("br"), found.mark.dataset.class);
    const at = found.mark.getBoundingClientRect(), around = frame.getBoundingClientRect();
    const left = at.left + at.width / 2 - around.left - tip.offsetWidth / 2;
    tip.style.left = Math.max(0, Math.min(left, around.width - tip.offsetWidth)) + "px";
    const above = at.top - around.top - tip.offsetHeight - 8;
    tip.style.top = (above < 0 ? at.bottom - around.top + 8 : above) + "px";
  };

  frame.addEventListener("pointermove", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = null, least = 14 * 14;
    for (const entry of marks) {
      if (alone !== null && entry.mark.dataset.kind !== alone) continue;
      const distance = (entry.x - point.x) ** 2 + (entry.y - point.y) ** 2;
      if (distance < least) [best, least] = [entry, distance];
    }
    show(best);
  });
  frame.addEventListener("pointerleave", () => show(null));

  for (const button of map.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      alone = alone === button.dataset.kind ? null : button.dataset.kind;
      for (const other of map.querySelectorAll(".legend button"))
        other.setAttribute("aria-pressed", String(other.dataset.kind === alone));
      for (const { mark } of marks) mark.classList.toggle("dim", alone !== null && mark.dataset.kind !== alone);
    });
  }
}
