// Elements are made here, and text enters them only as text.

export const byId = (id) => document.getElementById(id);

/** Make an element: its class, attributes and children; strings become text. */
export function make(tag, { className, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children) element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  return element;
}

export function show(element, visible) {
  element.hidden = !visible;
}

/** Call a function once nothing has happened for some milliseconds. */
export function delayed(milliseconds, action) {
  let timer = 0;
  const call = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

export const count = (n) => n.toLocaleString("en");
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

/** What a label is called, with its id where that says more. */
export function labelName(label) {
  return label.text || label.id;
}

/** Let files be dropped on an element. */
export function dropTarget(element, take) {
  const over = (event) => {
    if (!event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    element.classList.toggle("over", event.type === "dragover" || event.type === "dragenter");
  };
  for (const name of ["dragenter", "dragover", "dragleave"]) element.addEventListener(name, over);
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}
