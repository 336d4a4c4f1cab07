import { Fifo } from './fifo.ts'

/** A stream whose unfinished message needs more window than streams have by themselves. */
export interface WindowApplicant {
  /** Bytes still wanted; 0 when the message or the stream has ended. */
  readonly wantedWindow: number
  /** The wanted bytes have been reserved: give them to the peer. */
  onWindowReserved(bytes: number): void
}

/**
 * Bounds the windows that one connection promises to large unfinished messages. Those that do not fit wait in order,
 * so the first ones finish and make room; one alone always fits.
 */
export class AssemblyBudget {
  readonly #bytesMax: number
  #reserved = 0
  readonly #waiting = new Fifo<WindowApplicant>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  apply(applicant: WindowApplicant): void {
    this.#waiting.push(applicant)
    this.#serve()
  }

  release(bytes: number): void {
    this.#reserved -= bytes
    this.#serve()
  }

  #next: WindowApplicant | undefined

  #serve(): void {
    for (;;) {
      this.#next ??= this.#waiting.shift()
      const applicant = this.#next
      if (applicant === undefined) return
      const bytes = applicant.wantedWindow
      if (bytes > 0 && this.#reserved > 0 && this.#reserved + bytes > this.#bytesMax) return
      this.#next = undefined
      if (bytes === 0) continue
      this.#reserved += bytes
      applicant.onWindowReserved(bytes)
    }
  }
}
