// Formats numbers and times.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number) => whole.format(number);
export const brief = (number) => (Math.abs(number) < 10_000 ? whole.format(number) : short.format(number));
export const share = (part, all) => (all ? `${((100 * part) / all).toFixed(part && part / all < 0.1 ? 1 : 0)} %` : "–");

export function usd(amount) {
  if (!amount) return "$0";
  const digits = amount >= 1000 ? 0 : amount >= 1 ? 2 : Math.min(10, 2 - Math.floor(Math.log10(amount)));
  return `$${amount.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

// The cost of calls. Calls without a known price are marked, since they are not free.
export function cost(tally) {
  if (tally.unpriced && !tally.cost) return "unknown";
  return usd(tally.cost) + (tally.unpriced ? " +" : "");
}

export function duration(ms) {
  if (ms === null) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${(ms / 60_000).toFixed(1)} min`;
}

const hour = { hour: "2-digit", minute: "2-digit", hour12: false };
const minutes = new Intl.DateTimeFormat("en-GB", hour);
const seconds = new Intl.DateTimeFormat("en-GB", { ...hour, second: "2-digit" });
export const clock = (time, fine) => (fine ? seconds : minutes).format(time * 1000);
