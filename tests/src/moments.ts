/**
 * Waits, for tests whose point is that something happens at an arbitrary moment; everything else waits for an event.
 */
export function arbitraryMoment(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
