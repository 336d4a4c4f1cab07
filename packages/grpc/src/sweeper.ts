/** What a sweeper looks at, again and again. */
export interface Swept {
  sweep(nowMs: number): void
}

/** One timer for the slow checks of many connections; it runs only while there are any, and keeps no process alive. */
export class Sweeper {
  readonly #intervalMs: number
  readonly #members = new Set<Swept>()
  #timer: NodeJS.Timeout | undefined

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  add(member: Swept): void {
    this.#members.add(member)
    // After the turn's reads: a process that was stopped must not judge by what it has not read yet.
    this.#timer ??= setInterval(() => setImmediate(() => this.#sweep()), this.#intervalMs).unref()
  }

  delete(member: Swept): void {
    this.#members.delete(member)
    if (this.#members.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #sweep(): void {
    const nowMs = performance.now()
    for (const member of this.#members) member.sweep(nowMs)
  }
}
