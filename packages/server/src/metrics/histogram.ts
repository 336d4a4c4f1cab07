/** A distribution over fixed buckets, cheap enough for every request: one search among a few bounds, three additions. */
export class Histogram {
  /** Upper bounds, ascending and inclusive; what is above the last one counts in one more bucket. */
  readonly bounds: Float64Array
  /** Observations of each bucket alone, the one without a bound last. */
  readonly counts: Float64Array
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds)
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const { bounds } = this
    let at = 0
    // The small buckets come first and are the ones that are met, so that this beats a binary search.
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.sum += value
  }
}

/** `count` bounds, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): readonly number[] {
  // Twelve digits are more than any bound has, and hide that 0.1 * 2 * 2 * 2 * ... is not quite what it should be.
  return Array.from({ length: count }, (_, index) => Number((start * factor ** index).toPrecision(12)))
}
