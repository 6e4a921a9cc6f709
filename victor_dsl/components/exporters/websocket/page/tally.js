// Sums the server's buckets over any time range. Nothing here touches the page.

export const empty = () => ({ turns: 0, failed: 0, input: 0, output: 0, cached: 0, reasoning: 0, cost: 0, unpriced: 0, latency: new Map() });

export function add(sum, one) {
  for (const name of ["turns", "failed", "input", "output", "cached", "reasoning", "cost", "unpriced"]) sum[name] += one[name];
  for (const [place, count] of one.latency) sum.latency.set(place, (sum.latency.get(place) ?? 0) + count);
  return sum;
}

// The latency in ms that this share of the turns stayed below; null without turns.
export function percentile(latency, share, base) {
  const places = [...latency].sort((a, b) => a[0] - b[0]);
  let left = share * places.reduce((sum, [, count]) => sum + count, 0);
  for (const [place, count] of places) {
    left -= count;
    if (left <= 1e-9) return base ** place;
  }
  return null;
}

// The sum of all buckets: a tally, and tools, errors and arms by name.
export function sum(buckets) {
  const all = { ...empty(), tools: new Map(), errors: new Map(), arms: new Map() };
  for (const bucket of buckets) {
    add(all, bucket);
    for (const [name, numbers] of Object.entries(bucket.tools)) {
      const tool = all.tools.get(name) ?? [0, 0, 0];
      all.tools.set(name, tool.map((number, index) => number + numbers[index]));
    }
    for (const [code, count] of Object.entries(bucket.errors)) all.errors.set(code, (all.errors.get(code) ?? 0) + count);
    for (const [experiment, arms] of Object.entries(bucket.arms)) {
      if (!all.arms.has(experiment)) all.arms.set(experiment, new Map());
      const found = all.arms.get(experiment);
      for (const [arm, tally] of Object.entries(arms)) found.set(arm, add(found.get(arm) ?? empty(), tally));
    }
  }
  return all;
}

// Columns of `width` seconds up to now, each a tally; the buckets of one column are summed.
export function columns(buckets, from, to, width) {
  const first = Math.floor(from / width) * width + width;
  const found = [];
  for (let time = first; time <= to; time += width) found.push({ time, ...empty() });
  for (const bucket of buckets) {
    const column = found[Math.floor((bucket.t - first) / width)];
    if (column) add(column, bucket);
  }
  return found;
}
