// The form of a visit. "Saved" is said only when the service has said so; until then the record is kept here (see drafts.js).

import { NoConnection } from "./api.js";
import { el } from "./dom.js";
import * as drafts from "./drafts.js";
import { lookUp } from "./household.js";
import * as known from "./known.js";
import { lastAddress, nextAfter } from "./list.js";
import { today } from "./numbers.js";
import { areaOf, older } from "./parts.js";
import { to } from "./router.js";
import { heading, notice } from "./states.js";
import { recall, remember } from "./storage.js";
import { telling } from "./telling.js";
import { said, t } from "./words.js";

const NOTE_LENGTH = 500;
const TEAM_LENGTH = 40;
const MOST_RISKS = 3;
const WITH_RISKS = ["risk_confirmed", "risk_eliminated"];

/** As `lookUp`; without a connection what this device knows of the household: that it is listed, and the choices of the form. */
async function lookUpOrKnow(id, query) {
  try {
    return await lookUp(id, query);
  } catch (error) {
    const bare = error instanceof NoConnection ? known.household(id) : null;
    if (!bare) throw error;
    return bare;
  }
}

export async function visit({ id, query }) {
  const answer = await lookUpOrKnow(id, query);
  const on = answer.on_list;
  if (on && !on.closed && !answer.bare) known.note(on, [{ household_id: id, list_hash: on.list_hash }]);
  if (!on) return el("section", {}, heading(t("visitTitle", { id })), notice("note", el("p", {}, t("cannotRecordHere"))), back(id, answer));
  const root = el("section", { class: "visit" });
  const context = { id, answer, on, choices: on, root, asOf: on.as_of || answer.as_of };
  const waiting = drafts.queued(on.list_hash, id);
  if (waiting && !waiting.refused) turnTo(context, notYet(context, waiting), false);
  else turnTo(context, form(context, waiting ? waiting.result : null, waiting ? waiting.refused : null), false);
  return root;
}

function back(id, answer) {
  return el("p", { class: "acts" }, el("a", { class: "button", href: to("household", id, { as_of: answer.as_of }) }, t("cancel")));
}

function title({ id, answer, done }) {
  return [
    el("p", { class: "back" }, answer.bare ? el("a", { href: to("offline") }, `‹ ${t("offlineLink")}`)
      : el("a", { href: to("household", id, { as_of: answer.as_of }) }, `‹ ${t("householdTitle", { id })}`)),
    heading(t("visitTitle", { id })),
    answer.bare ? (done ? null : notice("warning", el("p", {}, t("offlineBare")))) : el("p", { class: "facts" }, areaOf(answer)),
  ];
}

/** Put content in the view's place; `move`: the focus to its heading, too. */
function turnTo(context, content, move = true) {
  context.root.replaceChildren(...content.filter(Boolean));
  if (!move) return;
  window.scrollTo(0, 0);
  const place = context.root.querySelector(".result h2, .summary h2") || context.root.querySelector("h1");
  if (place) place.focus({ preventScroll: true });
}

function form(context, given, refused, lockTeam = false) {
  const { id, answer, on, choices } = context;
  const begun = given ? null : drafts.begun(on.list_hash, id);
  const team_ = on.team || recall("team") || "";
  const recorded = given ? null : recordedBy(answer, on, begun ? begun.visitor : team_);
  const values = given || begun || recorded || { visited_on: today(), visitor: team_ };
  const left = el("span", {});
  const summary = el("div", { class: "summary", hidden: true });

  const date = el("input", { id: "visited_on", type: "date", value: values.visited_on || "", min: context.asOf, max: today(), required: true,
    "aria-describedby": "visited_on-hint visited_on-fault" });
  const team = el("input", { id: "visitor", type: "text", value: values.visitor || "", maxlength: TEAM_LENGTH, autocomplete: "off", required: true,
    readonly: lockTeam, "aria-describedby": "visitor-hint visitor-fault" });
  const outcomes = choices.outcomes.map((one) => el("input", { type: "radio", name: "outcome", id: `outcome-${one.code}`, value: one.code,
    checked: values.outcome === one.code, onchange: () => altered() }));
  const risks = choices.risk_kind_codes.map((one) => el("input", { type: "checkbox", name: "risk", id: `risk-${one.code}`, value: one.code,
    checked: (values.risk_kinds || []).includes(one.code) }));
  const riskGroup = el("fieldset", { id: "risks", "aria-describedby": "risks-hint risks-fault" }, el("legend", {}, t("whichRisks")),
    el("p", { class: "hint", id: "risks-hint" }, t("risksNeeded")), faultOf("risks"), el("div", { class: "choices narrow" }, risks.map((input, place) => choice(input, said(choices.risk_kind_codes[place])))));
  const disagreement = el("select", { id: "disagreement", "aria-describedby": "disagreement-hint" }, el("option", { value: "" }, t("agrees")),
    choices.disagreements.map((one) => el("option", { value: one.code, selected: values.disagreement === one.code }, said(one))));
  const note = el("textarea", { id: "note", rows: 3, maxlength: NOTE_LENGTH, "aria-describedby": "note-hint note-fault" });
  note.value = values.note || "";
  const save = el("button", { type: "submit", class: "first", id: "save" }, t(recorded || given ? "saveCorrection" : "save"));

  const fields = () => ({
    visited_on: date.value,
    outcome: (outcomes.find((input) => input.checked) || {}).value || "",
    risk_kinds: riskGroup.hidden ? [] : risks.filter((input) => input.checked).map((input) => input.value),
    disagreement: disagreement.value || null,
    visitor: team.value.trim(),
    note: note.value.trim(),
  });

  function altered() {
    const now = fields();
    riskGroup.hidden = !WITH_RISKS.includes(now.outcome);
    left.textContent = t("noteHint", { left: NOTE_LENGTH - note.value.length });
    const safe = telling(now.note) ? { ...now, note: "" } : now;
    drafts.begin(on.list_hash, id, { ...safe, visitor: telling(safe.visitor) ? "" : safe.visitor });
  }

  async function submit(event) {
    event.preventDefault();
    const result = { household_id: id, ...fields() };
    if (complain(summary, judge(result, context.asOf, outcomes))) return;
    remember("team", result.visitor);
    save.disabled = true;
    save.textContent = t("saving");
    settle(context, result, await drafts.handIn(on.cycle, on.list_hash, result));
  }

  const body = el(
    "form", { novalidate: true, onsubmit: submit, oninput: altered },
    el("fieldset", {}, el("legend", {}, t("whenWho")), el("div", { class: "pair" },
      field(date, t("visitedOn"), t("visitedOnHint", { as_of: context.asOf })), field(team, t("teamNeeded"), t("teamHint")))),
    el("fieldset", { id: "outcome", "aria-describedby": "outcome-fault" }, el("legend", {}, t("whatFound")), faultOf("outcome"),
      el("div", { class: "choices" }, outcomes.map((input, place) => choice(input, said(choices.outcomes[place]))))),
    riskGroup,
    el("fieldset", {}, el("legend", { class: "heard-only" }, t("noteLabel")),
      field(disagreement, t("disagreementLabel"), t("disagreementHint")), field(note, t("noteLabel"), left)),
    el("p", { class: "acts" }, save, el("a", { class: "button plain", href: answer.bare ? to("offline") : to("household", id, { as_of: answer.as_of }) }, t("cancel"))),
  );
  riskGroup.hidden = !WITH_RISKS.includes(values.outcome);
  left.textContent = t("noteHint", { left: NOTE_LENGTH - note.value.length });

  const checks = said(answer, "checks").split(/\n+/).filter(Boolean);
  return [
    ...title(context),
    older(answer),
    disputed(answer, on),
    recorded && !refused ? notice("note", el("p", {}, t("alreadyRecorded")))
      : on.status !== "open" && !refused && said(on, "visit") ? notice("note", el("p", {}, said(on, "visit"))) : null,
    refused ? el("div", { class: "summary" }, el("h2", { tabindex: "-1" }, t("refusedTitle")), el("ul", {}, refused.map((reason) => el("li", {}, said(reason))))) : null,
    begun && begun.outcome ? notice("note", el("p", {}, t("draftRestored"), " ", el("button", { type: "button", class: "plain", onclick: () => {
      drafts.forget(on.list_hash, id);
      turnTo(context, form(context, null, null));
    } }, t("draftDiscard")))) : null,
    el("div", { class: "beside" },
      checks.length ? el("details", { class: "panel", open: window.matchMedia("(min-width: 700px)").matches }, el("summary", {}, t("checks")),
        el("ul", { class: "checks" }, checks.map((text) => el("li", {}, text)))) : null,
      el("div", {}, summary, body)),
  ];
}

/** What the team recorded of this household in the cycle of the list: a correction begins with it. Without the team's own, that of the only team; or null. */
function recordedBy(answer, on, team) {
  const mine = (answer.visits || []).filter((row) => row.cycle === on.cycle);
  const same = (one, other) => one.normalize("NFKC").toLowerCase().replace(/\s/g, "") === other.normalize("NFKC").toLowerCase().replace(/\s/g, "");
  const row = mine.find((one) => same(one.team, team)) || (mine.length === 1 && !team ? mine[0] : null);
  return row && { visited_on: row.visited_on, visitor: row.team, outcome: row.outcome, risk_kinds: row.risk_kinds, disagreement: row.disagreement, note: row.note || "" };
}

/** The results of teams that contradict each other, in words; or null. */
function disputed(answer, on) {
  if (!on.contradicted) return null;
  const rows = (answer.visits || []).filter((row) => row.contradicted);
  return notice("warning", el("h2", {}, t("conflictTitle")), el("p", {}, t("conflictSays")), el("ul", {}, rows.map((row) => el("li", {}, said(row)))));
}

function choice(input, text) {
  return el("label", { class: "choice", for: input.id }, input, text);
}

function faultOf(name) {
  return el("p", { class: "field-fault", id: `${name}-fault` });
}

function field(input, label, hint) {
  return el("div", { class: "field" }, el("label", { for: input.id }, label), el("p", { class: "hint", id: `${input.id}-hint` }, hint), faultOf(input.id), input);
}

/** What must be mended before the record can be handed in: [field, place to go to, text]. */
function judge(result, asOf, outcomes) {
  const wrong = [];
  if (!result.visited_on) wrong.push(["visited_on", "visited_on", t("needDate")]);
  else if (result.visited_on > today()) wrong.push(["visited_on", "visited_on", t("dateFuture")]);
  else if (result.visited_on < asOf) wrong.push(["visited_on", "visited_on", t("dateEarly", { as_of: asOf })]);
  if (!result.visitor) wrong.push(["visitor", "visitor", t("needTeam")]);
  else if (result.visitor.length > TEAM_LENGTH || telling(result.visitor)) wrong.push(["visitor", "visitor", t("teamLong")]);
  if (!result.outcome) wrong.push(["outcome", outcomes[0].id, t("needOutcome")]);
  const first = document.querySelector("input[name=risk]");
  if (result.outcome === "risk_confirmed" && !result.risk_kinds.length) wrong.push(["risks", first.id, t("needRisk")]);
  if (result.risk_kinds.length > MOST_RISKS) wrong.push(["risks", first.id, t("manyRisks")]);
  if (telling(result.note)) wrong.push(["note", "note", t("noteIdentity")]);
  if (result.note.length > NOTE_LENGTH) wrong.push(["note", "note", t("noteLong")]);
  return wrong;
}

/** Show what is wrong: at the top with links, and at each field. Returns whether anything is. */
function complain(summary, wrong) {
  for (const place of document.querySelectorAll(".field-fault")) place.textContent = "";
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  summary.hidden = !wrong.length;
  if (!wrong.length) return false;
  const title_ = el("h2", { tabindex: "-1" }, t("mendTitle"));
  summary.replaceChildren(title_, el("ul", {}, wrong.map(([, target, text]) => el("li", {}, el("a", { href: `#${target}`, onclick: (event) => {
    event.preventDefault();
    document.getElementById(target).focus();
  } }, text)))));
  for (const [name, target, text] of wrong) {
    document.getElementById(`${name}-fault`).textContent = text;
    if (name === target) document.getElementById(target).setAttribute("aria-invalid", "true");
  }
  title_.focus();
  return true;
}

/** Show what became of a record. */
function settle(context, result, outcome) {
  if (outcome.state === "signed out") window.dispatchEvent(new Event("signed-out"));
  else if (outcome.state === "refused") turnTo(context, form(context, result, outcome.reasons));
  else if (outcome.state === "saved") turnTo(context, saved(context, outcome.answer));
  else turnTo(context, notYet(context, drafts.queued(context.on.list_hash, context.id)));
}

function resultOf({ choices }, result) {
  const outcome = choices.outcomes.find((one) => one.code === result.outcome);
  const kinds = choices.risk_kind_codes.filter((one) => result.risk_kinds.includes(one.code)).map((one) => said(one));
  return el("p", { class: "record" }, [result.visited_on, outcome ? said(outcome) : result.outcome, kinds.join(t("comma"))].filter(Boolean).join(" · "));
}

function saved(context, answer) {
  const { id } = context;
  context.on.status = "visited";
  context.done = true;
  const next = nextAfter(id);
  const conflicts = answer.conflicts || [];
  return [
    ...title(context),
    el("div", { class: "result notice good", role: "status" }, el("h2", { tabindex: "-1" }, `✓ ${t("saved")}`),
      el("p", {}, t("savedSays", { id, time: new Date().toTimeString().slice(0, 5) })),
      answer.corrected ? el("p", {}, t("savedCorrected")) : null,
      answer.unchanged ? el("p", {}, t("savedUnchanged")) : null),
    conflicts.length ? notice("warning", el("h2", {}, t("conflictTitle")), el("p", {}, t("conflictSays")),
      el("ul", {}, conflicts.map((one) => el("li", {}, [one.household_id, ...one.visits.map((text) => said(text))].join(" · "))))) : null,
    el("p", { class: "acts" }, next ? el("a", { class: "button first", href: to("household", next, { as_of: context.answer.as_of }) }, t("nextHousehold", { id: next })) : null,
      el("a", { class: `button ${next ? "" : "first"}`, href: lastAddress() }, t("backToList"))),
  ];
}

function notYet(context, entry) {
  const place = el("p", { role: "status" });
  const button = el("button", { type: "button", class: "first", id: "send", onclick: async () => {
    button.disabled = true;
    button.textContent = t("sending");
    const outcome = (await drafts.sendAll()).get(entry.key);
    const gone = !drafts.own().some((item) => item.key === entry.key);
    if (outcome && outcome.state !== "waiting") settle(context, entry.result, outcome);
    else if (gone) settle(context, entry.result, { state: "saved", answer: {} });
    else {
      button.disabled = false;
      button.textContent = t("sendNow");
      place.textContent = t("stillNot");
    }
  } }, t("sendNow"));
  let placed = false;
  const watch = () => { // sent meanwhile, by itself
    if (!context.root.contains(button)) {
      if (placed) end();
      return;
    }
    placed = true;
    if (button.disabled) return;
    const item = drafts.own().find((one) => one.key === entry.key);
    if (!item) settle(context, entry.result, { state: "saved", answer: {} });
    else if (item.refused) settle(context, entry.result, { state: "refused", reasons: item.refused });
  };
  const end = drafts.whenChanged(watch);
  return [
    ...title(context),
    el("div", { class: "result notice warning", role: "status" }, el("h2", { tabindex: "-1" }, t("notSaved")),
      el("p", {}, t(drafts.isKept() ? "notSavedSays" : "notKept")), resultOf(context, entry.result), place),
    el("p", { class: "acts" }, button,
      el("button", { type: "button", onclick: () => turnTo(context, form(context, entry.result, null, true)) }, t("changeIt")),
      el("a", { class: "button plain", href: lastAddress() }, t("backToList"))),
  ];
}
