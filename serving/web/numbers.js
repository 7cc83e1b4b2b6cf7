// Figures and dates as people read them.

import { language, t } from "./words.js";

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/** 12345 -> 12,345 */
export function whole(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A probability as a number of households in a hundred: "17", "不到1" / "under 1". The hundred never changes, so that two households can be compared. */
export function ofHundred(probability) {
  const households = Math.round(probability * 100);
  if (probability > 0.995) return t("over99");
  return probability < 0.005 || households < 1 ? t("under1") : String(households);
}

/** An ISO date in words: 2025年12月31日, 31 December 2025. */
export function day(iso) {
  const match = /^(\d{4})-(\d\d)-(\d\d)/.exec(iso || "");
  if (!match) return iso || t("unknown");
  const [year, month, date] = match.slice(1).map(Number);
  return language() === "zh" ? `${year}年${month}月${date}日` : `${date} ${MONTHS[month - 1]} ${year}`;
}

let zone = "Asia/Shanghai"; // the county's, as the service says it

/** Take the county's time zone; an unknown one changes nothing. */
export function setZone(name) {
  try {
    if (name) new Intl.DateTimeFormat("en-CA", { timeZone: name });
    zone = name || zone;
  } catch { /* this browser does not know it */ }
}

/** Today in the county, ISO: the same day as the service's, whatever the clock of the device is set to. */
export function today() {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(new Date());
  const part = (kind) => parts.find((one) => one.type === kind).value;
  return `${part("year")}-${part("month")}-${part("day")}`;
}

/** A share between 0 and 1 in percent: "62%". */
export function percent(share) {
  return `${Math.round(share * 100)}%`;
}
