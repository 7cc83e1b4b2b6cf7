// Signing in with an access key. The key goes to the service once and is kept nowhere.

import { Refusal } from "./api.js";
import { el } from "./dom.js";
import * as account from "./session.js";
import { heading, notice, trouble } from "./states.js";
import { t } from "./words.js";

/** The form. `message`: why one is asked to sign in (a text's name); `done`: called once signed in. */
export function signIn(message, done) {
  const fault = el("p", { class: "field-fault", id: "key-fault", role: "alert" });
  const key = el("input", {
    id: "key", type: "password", autocomplete: "current-password", spellcheck: "false", autocapitalize: "off",
    "aria-describedby": "key-hint key-fault", required: true,
  });
  const shown = el("input", { id: "show-key", type: "checkbox", onchange: () => { key.type = shown.checked ? "text" : "password"; } });
  const button = el("button", { type: "submit", class: "first" }, t("signInButton"));
  const wrong = (text) => {
    fault.textContent = text;
    key.setAttribute("aria-invalid", "true");
    key.focus();
  };

  async function submit(event) {
    event.preventDefault();
    const value = key.value.trim();
    if (!value) {
      wrong(t("keyMissing"));
      return;
    }
    button.disabled = true;
    try {
      await account.enter(value);
      key.value = "";
      done();
    } catch (error) {
      button.disabled = false;
      if (error instanceof Refusal && [400, 401, 403, 422].includes(error.status)) wrong(t("keyWrong"));
      else wrong(trouble(error, null, () => {}).querySelector("p").textContent);
    }
  }

  return el(
    "section", { class: "sign-in panel" }, heading(t("signInTitle")),
    message ? notice(message === "signedOut" ? "good" : "warning", t(message)) : null,
    el("p", {}, t("signInWhat")),
    el(
      "form", { novalidate: true, onsubmit: submit },
      // Password keepers want a name beside a key; there is only one account on this page.
      el("input", { type: "text", name: "username", autocomplete: "username", value: "riskmodel", hidden: true, "aria-hidden": "true", tabindex: "-1" }),
      el("div", { class: "field" }, el("label", { for: "key" }, t("key")), el("p", { class: "hint", id: "key-hint" }, t("keyHint")), fault, key,
        el("label", { class: "choice", for: "show-key" }, shown, t("showKey"))),
      el("p", { class: "acts" }, button),
    ),
  );
}
