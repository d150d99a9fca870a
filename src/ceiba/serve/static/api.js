// Calls of the service: its token, its errors, and whether it answers at all.

import { byId, show } from "./dom.js";

const TOKEN = "ceiba-token";
const RETRY_MILLISECONDS = 2000;

/** An error with a message for people. */
export class Problem extends Error {
  constructor(message, { status = 0, field = null, retryAfter = 1 } = {}) {
    super(message);
    Object.assign(this, { status, field, retryAfter });
  }
}

let online = true;
let asking = null; // one question for the token at a time
const whenBack = new Set();

/** Call a function when the service answers again. */
export function onBack(action) {
  whenBack.add(action);
}

/** Return the JSON of an answer; a Problem where there is none. */
export async function call(path, { body, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    goneOffline();
    throw new Problem("The service does not answer.");
  }
  setOnline(true);
  if (answer.status === 401) {
    await askToken(Boolean(token));
    return call(path, { body, signal });
  }
  const content = await answer.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (answer.ok && content !== null) return content;
  const detail = (content && content.detail) || `The service answered with status ${answer.status}.`;
  throw new Problem(detail, {
    status: answer.status,
    field: content && content.field,
    retryAfter: Number(answer.headers.get("Retry-After")) || 1,
  });
}

function goneOffline() {
  if (!online) return;
  setOnline(false);
  const look = async () => {
    try {
      const answer = await fetch("healthz", { cache: "no-store" });
      if (answer.ok) {
        setOnline(true);
        for (const action of whenBack) action();
        return;
      }
    } catch {
      // still away
    }
    setTimeout(look, RETRY_MILLISECONDS);
  };
  setTimeout(look, RETRY_MILLISECONDS);
}

function setOnline(value) {
  online = value;
  show(byId("offline"), !value);
}

function askToken(wasWrong) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token-dialog");
    const problem = byId("token-problem");
    problem.textContent = wasWrong ? "The service does not know this token." : "";
    show(problem, wasWrong);
    byId("token").value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    byId("token-form").addEventListener(
      "submit",
      () => {
        sessionStorage.setItem(TOKEN, byId("token").value.trim());
        asking = null;
        resolve();
      },
      { once: true },
    );
    if (!dialog.open) dialog.showModal();
  });
  return asking;
}
